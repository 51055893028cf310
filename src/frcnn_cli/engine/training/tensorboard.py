"""Scalars of a run for TensorBoard, where it is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from frcnn_cli.engine.training.run import StepReport
from frcnn_proposals.errors import MisuseError

FOLDER = "tensorboard"


@contextmanager
def tensorboard_scalars(folder: Path, done: int = 0) -> Iterator[Callable[[StepReport], None]]:
    """Yields what writes a step's scalars under the run's folder.

    done: iterations of an earlier sitting; what it logged after them is hidden. Raises
    MisuseError where TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MisuseError(
            "TensorBoard is not installed: pip install tensorboard, or leave --tensorboard out."
        ) from error
    writer = SummaryWriter(str(folder / FOLDER), purge_step=done + 1)

    def write(step: StepReport) -> None:
        scalars = {
            "loss/total": step.loss,
            "loss/classification": step.classification,
            "loss/box_regression": step.box_regression,
            "learning_rate": step.learning_rate,
            "images_a_second": step.images / max(step.seconds, 1e-9),
            "waiting_share": step.waiting / max(step.seconds, 1e-9),
        }
        if step.evaluation is not None:
            scalars["map_on_val"] = step.evaluation
        for name, value in scalars.items():
            writer.add_scalar(name, value, step.iteration)

    try:
        yield write
    finally:
        writer.close()
