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
