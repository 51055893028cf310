"""The curve of one run, in its folder."""

from __future__ import annotations

from pathlib import Path

from frcnn_cli.engine.report.figures.style import SERIES, finished, new_figure, style
from frcnn_cli.engine.report.figures.training import draw_losses
from frcnn_cli.engine.report.training_log import read_training_log
from frcnn_proposals.files import write_whole

LOSS_FILE = "loss.png"


def write_loss_figure(folder: Path) -> Path | None:
    """Draw the losses of the run in `folder`, and its mAP on val where it was measured.

    Returns the file; None where nothing was logged.
    """
    log = read_training_log(folder)
    if not log.iterations:
        return None
    with style():
        figure = new_figure(3.4)
        axes = figure.subplots()
        draw_losses(axes, log, SERIES[0])
        axes.set(xlabel="iteration", ylabel="loss", ylim=(0, None))
        if log.averages:
            iterations, averages = zip(*log.averages, strict=True)
            percent = axes.twinx()
            values = [100 * each for each in averages]
            percent.plot(iterations, values, "o-", color=SERIES[1], label="mAP on val")
            percent.set(ylabel="mAP on val", ylim=(0, None))
            percent.legend(loc="center right")
        axes.legend(loc="upper right")
        plot = finished(figure, "loss", "Loss", "The loss of each iteration.")
    path = folder / LOSS_FILE
    write_whole(path, plot.png)
    return path
