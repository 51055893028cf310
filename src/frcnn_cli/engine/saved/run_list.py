"""What the folders of training runs hold."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from frcnn_cli.engine.checkpoint import MALFORMED
from frcnn_cli.engine.saved.models import CHECKPOINT_FILE, MODEL_FILE, SETTING_FILE
from frcnn_cli.engine.saved.runs import read_run
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.training.metrics import EVALUATIONS_FILE
from frcnn_proposals.errors import InputError

_SIGNS = (SETTING_FILE, CHECKPOINT_FILE, MODEL_FILE)


@dataclass(frozen=True)
class ListedRun:
    """A run, or a folder that looks like one.

    experiment, iteration and finished: None, 0 and False where `problem` says what is wrong.
    best: highest mAP on val, where it was measured. size: bytes of all its files.
    """

    folder: Path
    size: int
    experiment: Experiment | None = None
    iteration: int = 0
    finished: bool = False
    best: float | None = None
    problem: str = ""


def list_runs(runs_root: Path) -> list[ListedRun]:
    """The runs in `runs_root`, by name. Raises InputError where there is no such folder."""
    if not runs_root.is_dir():
        raise InputError(f"{runs_root}: there is no such folder. Runs are made by `frcnn train`.")
    folders = [each for each in sorted(runs_root.iterdir()) if each.is_dir()]
    return [_listed(each) for each in folders if any((each / name).exists() for name in _SIGNS)]


def _listed(folder: Path) -> ListedRun:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files)
    try:
        stored = read_run(folder)
    except InputError as error:
        return ListedRun(folder, size, problem=str(error))
    total = stored.experiment.train.iterations
    done = 0 if stored.progress is None else stored.progress.iteration
    finished = stored.model is not None
    return ListedRun(
        folder, size, stored.experiment, total if finished else done, finished, _best(folder)
    )


def _best(folder: Path) -> float | None:
    found = []
    path = folder / EVALUATIONS_FILE
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            found.append(float(json.loads(line)["map"]))
        except MALFORMED:
            continue
    return max(found, default=None)
