"""Plots of training: the losses, and mAP on val if it was evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from frcnn_cli.engine.drawing.figures import (
    DASHES,
    MEASURES,
    SERIES,
    Plot,
    finished,
    new_figure,
    style,
)
from frcnn_cli.engine.training.metrics import LOSS_FILE, TrainingLog, read_training_log
from frcnn_proposals.files import write_whole
from frcnn_proposals.wording import counted

_BUCKETS = 150
# The name of a model, and its log.
NamedLog = tuple[str, TrainingLog]


def write_loss_figure(folder: Path) -> Path | None:
    """Plot the losses of the run in `folder`, and its mAP on val if it was evaluated.

    Returns the file, or None if nothing was logged.
    """
    log = read_training_log(folder)
    if not log.iterations:
        return None
    with style():
        figure = new_figure(5.2 if log.averages else 3.4)
        losses, *below = figure.subplots(2 if log.averages else 1, sharex=True, squeeze=False).flat
        draw_losses(losses, log)
        losses.set(ylabel="loss", ylim=(0, None))
        losses.legend(loc="upper right")
        for averages in below:
            iterations, values = zip(*log.averages, strict=True)
            percent = [100 * value for value in values]
            averages.plot(iterations, percent, "o-", color=SERIES[0], clip_on=False)
            averages.set(ylabel="mAP on val", ylim=(0, None))
        figure.axes[-1].set(xlabel="iteration")
        plot = finished(figure, "loss", "Loss", "The loss of each iteration.")
    path = folder / LOSS_FILE
    write_whole(path, plot.png)
    return path


def draw_losses(axes: Axes, log: TrainingLog, colour: str = "", prefix: str = "") -> None:
    """Plot means over neighbouring iterations; for the total, also the 10% to 90% band.

    colour: of all losses, which dashes distinguish; by default each loss has its own.
    """
    count = min(_BUCKETS, len(log.iterations))
    middles = [part.mean() for part in np.array_split(np.asarray(log.iterations), count)]
    styles = zip(log.losses.items(), cycle(zip(MEASURES, DASHES, strict=True)))
    for (name, values), (own_colour, dashes) in styles:
        line_colour = colour or own_colour
        parts = np.array_split(np.asarray(values), count)
        means = [part.mean() for part in parts]
        axes.plot(middles, means, dashes, color=line_colour, label=prefix + name)
        if name == "total":
            low, high = ([np.quantile(part, q) for part in parts] for q in (0.1, 0.9))
            axes.fill_between(middles, low, high, color=line_colour, alpha=0.15, linewidth=0)


def loss_plot(logs: Sequence[NamedLog]) -> Plot | None:
    """Plot the losses of each log that has any; None if no log has."""
    logged = _different(logs, "iterations")
    if not logged:
        return None
    figure = new_figure(3.0)
    axes = figure.subplots()
    for index, name, log in logged:
        prefix = f"{name}, " if len(logged) > 1 else ""
        draw_losses(axes, log, SERIES[index] if len(logged) > 1 else "", prefix)
    axes.set(xlabel="iteration", ylim=(0, None))
    axes.legend()
    words = "; ".join(
        f"{name}: from {_mean(log, 0, 20):.2f} to {_mean(log, -20, None):.2f} "
        f"after {counted(log.iterations[-1], 'iteration')}"
        for _, name, log in logged
    )
    return finished(figure, "training-loss", "Loss", f"Total loss during training. {words}.")


def average_plot(logs: Sequence[NamedLog]) -> Plot | None:
    """Plot mAP on val during training; None if no log has evaluations."""
    logged = _different(logs, "averages")
    if not logged:
        return None
    figure = new_figure(3.0)
    axes = figure.subplots()
    for index, name, log in logged:
        iterations, averages = zip(*log.averages, strict=True)
        values = [100 * value for value in averages]
        axes.plot(iterations, values, "o-", color=SERIES[index], label=name)
    axes.set(xlabel="iteration", ylabel="mAP", ylim=(0, None))
    if len(logged) > 1:
        axes.legend()
    words = "; ".join(f"{name} ends at {100 * log.averages[-1][1]:.1f}" for _, name, log in logged)
    return finished(figure, "training-map", "mAP", f"mAP during training. {words}.")


def _different(logs: Sequence[NamedLog], field: str) -> list[tuple[int, str, TrainingLog]]:
    """The different logs with values in `field`, and their indices.

    A compressed model shares the log of its run, which is plotted once.
    """
    different: list[tuple[int, str, TrainingLog]] = []
    for index, (name, log) in enumerate(logs):
        if getattr(log, field) and all(log != other for _, _, other in different):
            different.append((index, name, log))
    return different


def _mean(log: TrainingLog, first: int, last: int | None) -> float:
    return float(np.mean(log.losses["total"][first:last]))
