"""The folders in which training runs are kept."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from frcnn_cli.engine.models import CHECKPOINT_FILE, MODEL_FILE
from frcnn_proposals.errors import MisuseError


def new_run_folder(runs_root: Path, name: str) -> Path:
    """Make and return `runs_root`/`name`, or with -2, -3 ... behind it where that is taken."""
    label = name.replace("/", "_").strip("._") or "run"
    number = 1
    while True:
        folder = runs_root / (label if number == 1 else f"{label}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        return folder


def claim_run_folder(folder: Path) -> Path:
    """Make `folder` for a new run. Raises MisuseError where it holds a run already."""
    for name in (MODEL_FILE, CHECKPOINT_FILE):
        if (folder / name).exists():
            raise MisuseError(
                f"{folder}: there is a run in this folder already ({name}).\n"
                f"Go on with it by `frcnn train --resume {folder}`, or name another --out."
            )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a run's folder. Raises MisuseError where another process is training in it."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MisuseError(
                f"{folder}: another process is training in this folder. Wait for it, or name "
                "another --out."
            ) from error
        yield
