"""What training wrote down: a line of JSON an iteration, and one where mAP was measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frcnn_cli.engine.report.records import TrainingLog
from frcnn_cli.engine.training.metrics import EVALUATIONS_FILE, METRICS_FILE
from frcnn_proposals.reading import read_bytes

_LOSSES = {"total": "loss", "classes": "classification", "boxes": "box_regression"}


def read_training_log(folder: Path) -> TrainingLog:
    """The log in a run's folder; an empty one where there is none.

    Lines that are not whole, as a killed run may leave them, are passed over.
    """
    steps = list(_rows(folder / METRICS_FILE, tuple(_LOSSES.values())))
    evaluations = _rows(folder / EVALUATIONS_FILE, ("map",))
    return TrainingLog(
        tuple(int(row["iteration"]) for row in steps),
        {part: tuple(float(row[key]) for row in steps) for part, key in _LOSSES.items()},
        tuple((int(row["iteration"]), float(row["map"])) for row in evaluations),
    )


def _rows(path: Path, keys: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The lines that have an iteration and a number for each of `keys`."""
    try:
        lines = read_bytes(path).decode(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and all(_is_number(row.get(k)) for k in ("iteration", *keys)):
            yield row


def _is_number(value: Any) -> bool:
    # An int of json may be too large for a float; a comparison is exact, and false of NaN.
    return isinstance(value, (int, float)) and abs(value) <= sys.float_info.max
