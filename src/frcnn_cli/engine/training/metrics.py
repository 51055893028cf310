"""Lines of JSON that a run writes as it goes, one an iteration."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frcnn_proposals.errors import InputError
from frcnn_proposals.files import write_whole

METRICS_FILE = "metrics.jsonl"
EVALUATIONS_FILE = "evaluations.jsonl"

Write = Callable[[Mapping[str, Any]], None]


@contextmanager
def appended_lines(path: Path, done: int) -> Iterator[Write]:
    """Yields what appends a line. Lines of iterations after `done` are dropped first.

    So a run that goes on from a checkpoint has each iteration once, as one that was never
    stopped. Raises InputError, naming the file, where it cannot be written.
    """
    kept = [line for line in _lines(path) if _iteration(line) <= done]
    write_whole(path, b"".join(kept))
    # Without a buffer: a line that a full disk refuses must not come back when it is closed.
    with path.open("ab", buffering=0) as file:

        def write(values: Mapping[str, Any]) -> None:
            try:
                file.write((json.dumps(values) + "\n").encode())
            except OSError as error:
                raise InputError(f"{path}: cannot be written ({error.strerror}).") from error

        yield write


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.is_file() else []


def _iteration(line: bytes) -> float:
    """The iteration that a line is about; infinite for one that a kill cut off."""
    try:
        return int(json.loads(line)["iteration"]) if line.endswith(b"\n") else float("inf")
    except (ValueError, KeyError, TypeError, RecursionError):
        return float("inf")
