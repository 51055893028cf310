"""Loss and mAP along the training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from frcnn_cli.engine.drawing.figures import SERIES, Plot, finished, new_figure
from frcnn_cli.engine.report.records import Subject
from frcnn_cli.engine.training.loss_figure import draw_losses


def loss_plot(subjects: Sequence[Subject]) -> Plot | None:
    """The losses of each subject that has a log; None where none has."""
    logged = _logged(subjects, "iterations")
    if not logged:
        return None
    figure = new_figure(3.0)
    axes = figure.subplots()
    for index, subject in logged:
        prefix = f"{subject.name}, " if len(logged) > 1 else ""
        draw_losses(axes, subject.log, SERIES[index], prefix)
    axes.set(xlabel="iteration", ylim=(0, None))
    axes.legend()
    words = "; ".join(
        f"{subject.name}: from {_mean(subject, 0, 20):.2f} to {_mean(subject, -20, None):.2f} "
        f"after {subject.log.iterations[-1]} iterations"
        for _, subject in logged
    )
    return finished(figure, "training-loss", "Loss", f"Total loss during training. {words}.")


def average_plot(subjects: Sequence[Subject]) -> Plot | None:
    """mAP where training measured it; None where it did not."""
    logged = _logged(subjects, "averages")
    if not logged:
        return None
    figure = new_figure(3.0)
    axes = figure.subplots()
    for index, subject in logged:
        iterations, averages = zip(*subject.log.averages, strict=True)
        values = [100 * value for value in averages]
        axes.plot(iterations, values, "o-", markersize=4, color=SERIES[index], label=subject.name)
    axes.set(xlabel="iteration", ylabel="mAP", ylim=(0, None))
    if len(logged) > 1:
        axes.legend()
    words = "; ".join(f"{s.name} ends at {100 * s.log.averages[-1][1]:.1f}" for _, s in logged)
    return finished(figure, "training-map", "mAP", f"mAP during training. {words}.")


def _logged(subjects: Sequence[Subject], what: str) -> list[tuple[int, Subject]]:
    """The subjects that logged it; a compressed model has its run's log, which is drawn once."""
    logged: list[tuple[int, Subject]] = []
    for index, subject in enumerate(subjects):
        if getattr(subject.log, what) and all(subject.log != each.log for _, each in logged):
            logged.append((index, subject))
    return logged


def _mean(subject: Subject, first: int, last: int | None) -> float:
    return float(np.mean(subject.log.losses["total"][first:last]))
