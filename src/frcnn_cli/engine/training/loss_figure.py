"""The picture of a run's losses, for whoever looks into its folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from frcnn_cli.engine.drawing.figures import SERIES, finished, new_figure, style
from frcnn_cli.engine.training.metrics import TrainingLog, read_training_log
from frcnn_proposals.files import write_whole

LOSS_FILE = "loss.png"
_BUCKETS = 150
_DASHES = {"total": "-", "classes": "--", "boxes": ":"}


def write_loss_figure(folder: Path) -> Path | None:
    """Draw the losses of the run in `folder`, and its mAP on val where it was measured.

    Returns the file; None where nothing was logged.
    """
    log = read_training_log(folder)
    if not log.iterations:
        return None
    with style():
        figure = new_figure(5.2 if log.averages else 3.4)
        losses, *below = figure.subplots(2 if log.averages else 1, sharex=True, squeeze=False).flat
        draw_losses(losses, log, SERIES[0])
        losses.set(ylabel="loss", ylim=(0, None))
        losses.legend(loc="upper right")
        for averages in below:
            iterations, values = zip(*log.averages, strict=True)
            averages.plot(iterations, [100 * each for each in values], "o-", color=SERIES[1])
            averages.set(ylabel="mAP on val", ylim=(0, None))
        figure.axes[-1].set(xlabel="iteration")
        plot = finished(figure, "loss", "Loss", "The loss of each iteration.")
    path = folder / LOSS_FILE
    write_whole(path, plot.png)
    return path


def draw_losses(axes: Axes, log: TrainingLog, colour: str, prefix: str = "") -> None:
    """The mean of neighbouring iterations, and for the total the spread between the deciles."""
    count = min(_BUCKETS, len(log.iterations))
    places = [each.mean() for each in np.array_split(np.asarray(log.iterations), count)]
    for part, values in log.losses.items():
        parts = np.array_split(np.asarray(values), count)
        means = [each.mean() for each in parts]
        axes.plot(places, means, _DASHES[part], color=colour, label=prefix + part)
        if part == "total":
            low, high = ([np.quantile(each, q) for each in parts] for q in (0.1, 0.9))
            axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
