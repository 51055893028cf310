"""The folders in which training runs are kept."""

from __future__ import annotations

from pathlib import Path


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
