"""Records of a training run: JSON lines, TensorBoard scalars, and the console's progress line."""

from __future__ import annotations

import json
import math
import sys
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import whole_file
from frcnn_proposals.reading import open_file
from frcnn_proposals.wording import rate_of

if TYPE_CHECKING:
    from frcnn_cli.engine.training.run import StepReport

TENSORBOARD_FOLDER = "tensorboard"
METRICS_FILE = "metrics.jsonl"
EVALUATIONS_FILE = "evaluations.jsonl"
LOSS_FILE = "loss.png"

Write = Callable[[Mapping[str, Any]], None]


@contextmanager
def appended_lines(path: Path, done: int) -> Iterator[Write]:
    """Drop the lines of iterations after `done`; yield a function that appends a line.

    So a run that is resumed from a checkpoint has each iteration once, like an uninterrupted
    one. Raises InputError, naming the file, if it cannot be written.
    """
    with whole_file(path) as kept:
        kept.writelines(
            line
            for line in _lines(path)
            if line.endswith(b"\n") and _row(line)["iteration"] <= done
        )
    # Unbuffered: a line that did not fit on a full disk must not be written again on closing.
    with path.open("ab", buffering=0) as file:

        def write(values: Mapping[str, Any]) -> None:
            try:
                file.write((json.dumps(values) + "\n").encode())
            except OSError as error:
                raise InputError(f"{path}: cannot be written ({error.strerror}).") from error

        yield write


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, one at a time: a run can have millions. Without a file, no lines."""
    if path.is_file():
        with open_file(path) as file:
            yield from file


def _row(line: bytes) -> dict[str, Any]:
    """The values of a line; for a truncated or damaged line, only an infinite iteration."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    has_iteration = isinstance(row, dict) and _is_iteration(row.get("iteration"))
    return row if has_iteration else {"iteration": math.inf}


@contextmanager
def tensorboard_scalars(
    folder: Path, done: int, enabled: bool
) -> Iterator[Callable[[StepReport], None]]:
    """Yield a function that writes a step's scalars to the run's folder, if `enabled`.

    done: iterations before this process; TensorBoard hides earlier scalars of later iterations.
    Raises MisuseError if TensorBoard is not installed.
    """
    if not enabled:
        yield lambda step: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MisuseError(
            "TensorBoard is not installed. Run `pip install tensorboard`, or omit --tensorboard."
        ) from error
    # Created at the first step: a run that fails before it leaves no files.
    writer: SummaryWriter | None = None

    def write(step: StepReport) -> None:
        nonlocal writer
        if writer is None:
            writer = SummaryWriter(str(folder / TENSORBOARD_FOLDER), purge_step=done + 1)
        scalars = {
            "loss/total": step.loss,
            "loss/classification": step.classification,
            "learning_rate": step.learning_rate,
            "images_a_second": step.images / max(step.seconds, 1e-9),
            "waiting_share": step.waiting / max(step.seconds, 1e-9),
        }
        for name in ("box_regression", "refinement"):
            if (value := getattr(step, name)) is not None:
                scalars[f"loss/{name}"] = value
        if step.evaluation is not None:
            scalars["map_on_val"] = step.evaluation
        for name, value in scalars.items():
            writer.add_scalar(name, value, step.iteration)

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()


_STEPS = 20  # the speed is averaged over these
_VISIBLE = 0.0005  # of a loss, in its printed form


class TrainingLine:
    """The text next to the progress bar: losses, learning rate, speed, the last evaluation."""

    def __init__(self) -> None:
        self._recent: deque[StepReport] = deque(maxlen=_STEPS)

    def __call__(self, step: StepReport) -> str:
        self._recent.append(step)
        seconds = sum(recent.seconds for recent in self._recent)
        speed = sum(recent.images for recent in self._recent) / max(seconds, 1e-9)
        name, value = "boxes", step.box_regression
        if value is None:
            name, value = "refinement", step.refinement
        parts = f"class {step.classification:.3f}, {name} {value:.3f}"
        others = step.loss - step.classification - (value or 0.0)  # a second head and a ranker
        if others >= _VISIBLE:
            parts += f", others {others:.3f}"
        pace = f"rate {step.learning_rate:.2g}, {rate_of(speed, 'image')}"
        line = f"loss {step.loss:.3f} ({parts}), {pace}"
        if step.evaluation is not None:
            line += f", val mAP {100 * step.evaluation:.1f}"
        return line


@dataclass(frozen=True)
class TrainingLog:
    """The recorded losses and evaluations of a run.

    losses: by part (total, classes, boxes or refinement), one value per item of `iterations`.
    averages: (iteration, mAP) of each evaluation. Long sequences are arrays of numbers.
    """

    iterations: Sequence[int] = ()
    losses: Mapping[str, Sequence[float]] = field(default_factory=dict)
    averages: tuple[tuple[int, float], ...] = ()


_LOSSES = {"total": "loss", "classes": "classification"}
# Of a run with boxes, and of one with image labels.
_THIRD = {"boxes": "box_regression", "refinement": "refinement"}


def read_training_log(folder: Path) -> TrainingLog:
    """The log in a run's folder; empty if there is none.

    Incomplete lines, which a killed run may leave, are skipped.
    """
    for third, key in _THIRD.items():
        keys = {**_LOSSES, third: key}
        iterations, losses = array("q"), {part: array("d") for part in keys}
        for row in _rows(folder / METRICS_FILE, tuple(keys.values())):
            iterations.append(int(row["iteration"]))
            for part, values in losses.items():
                values.append(float(row[keys[part]]))
        if iterations:
            break
    return TrainingLog(iterations, losses, read_evaluations(folder))


def read_evaluations(folder: Path) -> tuple[tuple[int, float], ...]:
    """(iteration, mAP on val) of each evaluation in a run's folder; skips incomplete lines."""
    rows = _rows(folder / EVALUATIONS_FILE, ("map",))
    return tuple((int(row["iteration"]), float(row["map"])) for row in rows)


def _rows(path: Path, keys: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield the lines that have an iteration and a number for each of `keys`."""
    with suppress(OSError):
        for row in map(_row, _lines(path)):
            if all(_is_number(row.get(key)) for key in ("iteration", *keys)):
                yield row


def _is_iteration(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) < 2**63


def _is_number(value: Any) -> bool:
    # A JSON integer may be too large for a float; the comparison is exact, and false for NaN.
    return isinstance(value, (int, float)) and abs(value) <= sys.float_info.max
