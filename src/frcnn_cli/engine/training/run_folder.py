"""Folders of training runs: settings, progress, and the list of runs (without torch)."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from frcnn_cli.engine.datasets.find import default_splits
from frcnn_cli.engine.datasets.fingerprint import name_of
from frcnn_cli.engine.models.experiment_options import with_absolute_data
from frcnn_cli.engine.models.file import read_architecture
from frcnn_cli.engine.models.local_paths import DATA_FIELDS
from frcnn_cli.engine.models.provenance import dataset_fingerprint, stored_experiment
from frcnn_cli.engine.models.store import (
    BEST_FILE,
    CHECKPOINT_FILE,
    MODEL_FILE,
    SETTING_FILE,
    is_run,
)
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.settings.fields import nested, values_of
from frcnn_cli.engine.settings.overrides import Override, override, read_toml, toml_text
from frcnn_cli.engine.training.checkpoint import Progress, load_progress, restartable_after_damage
from frcnn_cli.engine.training.metrics import (
    EVALUATIONS_FILE,
    LOSS_FILE,
    METRICS_FILE,
    read_evaluations,
)
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import write_whole
from frcnn_proposals.locking import open_locked
from frcnn_proposals.reading import is_endless

LOCK_FILE = ".lock"
# Files that are renamed when they are complete: a killed process can leave them half written.
_WRITTEN = (
    *(SETTING_FILE, CHECKPOINT_FILE, MODEL_FILE, BEST_FILE),
    *(METRICS_FILE, EVALUATIONS_FILE, LOSS_FILE),
)


@dataclass(frozen=True)
class StoredRun:
    """A run as read from its folder: its experiment and progress.

    progress: None before the first checkpoint. model: the model file of a finished run.
    """

    experiment: Experiment
    progress: Progress | None
    model: Path | None


@dataclass(frozen=True)
class NewPlaces:
    """Where the data of a run is now, if it has moved; None if it has not.

    dataset: a name or path. data_root: folder to search for the dataset. proposals: the file.
    """

    dataset: str | None = None
    data_root: Path | None = None
    proposals: Path | None = None


def default_run_folder(runs_root: Path, name: str) -> Path:
    """The folder in `runs_root` for a run called `name`."""
    return runs_root / (re.sub("[/:]", "_", name).strip("._") or "run")


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock a run's folder.

    Raises MisuseError if another process is training in it, and InputError if it contains a pipe
    or a device, because reading or writing those may never end.
    """
    for path in filter(is_endless, folder.iterdir()):
        raise InputError(f"{path}: this is a pipe or a device, not a file of a run. Remove it.")
    try:
        lock = open_locked(folder / LOCK_FILE)
    except BlockingIOError as error:
        raise MisuseError(
            f"{folder}: another process is training in this folder.\n"
            "Wait for it to end, or choose another --out."
        ) from error
    with lock:
        # Half-written files of a killed process. No other process is using the folder now.
        for name in _WRITTEN:
            for leftover in folder.glob(f".{name}.*.partial"):
                leftover.unlink(missing_ok=True)
        yield


@contextmanager
def lock_new_folder(folder: Path, *, numbered: bool = False) -> Iterator[Path]:
    """Create `folder` and lock it for a new run; if the block raises InputError, remove it again.

    Only what this process created is removed: its setting, and folders that did not exist. A
    folder with other files stays. numbered: if `folder` exists, -2, -3, ... is appended to its
    name. Raises MisuseError if the folder already contains a run, or a file is in its place.
    """
    for path in folder.parents if numbered else (folder, *folder.parents):
        _reject_file(path)
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    if numbered:
        folder = _make_numbered(folder)
        created = [folder, *(path for path in created if path in folder.parents)]
    else:
        folder.mkdir(exist_ok=True)
    with lock_folder(folder):
        _check_is_new(folder)
        setting = folder / SETTING_FILE
        before = setting.read_bytes() if setting.exists() else None
        try:
            yield folder
        except InputError:
            if before is not None:
                write_whole(setting, before)
            elif {path.name for path in folder.iterdir()} <= {SETTING_FILE, LOCK_FILE}:
                setting.unlink(missing_ok=True)
                (folder / LOCK_FILE).unlink(missing_ok=True)
                with suppress(OSError):
                    for path in created:
                        path.rmdir()
            raise


def _reject_file(folder: Path) -> None:
    """Raise MisuseError if there is a file in the place of the folder."""
    if folder.is_file():
        raise MisuseError(f"{folder}: is a file, not a folder. Choose another name.")


def _make_numbered(folder: Path) -> Path:
    """Create `folder`, or one with a number appended if that exists."""
    for number in count(1):
        path = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        with suppress(FileExistsError):
            path.mkdir()
            break
    return path


def _check_is_new(folder: Path) -> None:
    """Raises MisuseError if `folder` contains a run."""
    for name in (MODEL_FILE, CHECKPOINT_FILE):
        if (folder / name).exists():
            raise MisuseError(
                f"{folder}: this folder already contains a run ({name}).\n"
                f"Resume it with `frcnn train --resume {folder}`, or choose another --out."
            )


def write_setting(folder: Path, experiment: Experiment) -> None:
    """Store the experiment, so that the run can be resumed before its first checkpoint."""
    write_whole(folder / SETTING_FILE, toml_text(experiment).encode())


def read_run(folder: Path) -> StoredRun:
    """The run in `folder`.

    Its setting decides where the data is: a dataset and proposals may move, since their
    fingerprints tell whether they are the same. Raises InputError if there is no run, MisuseError
    if another part of its setting was changed after its start.
    """
    setting, checkpoint = folder / SETTING_FILE, folder / CHECKPOINT_FILE
    model = folder / MODEL_FILE if (folder / MODEL_FILE).is_file() else None
    in_setting = override(Experiment(), read_toml(setting)) if setting.is_file() else None
    if not checkpoint.is_file():
        if in_setting is None:
            raise InputError(
                f"{folder}: this folder contains no run to resume (no {SETTING_FILE} and no "
                f"{CHECKPOINT_FILE})."
            )
        return StoredRun(in_setting, None, model)
    progress = load_progress(folder)
    origin = {"settings": nested(progress.settings), **progress.origin}
    with restartable_after_damage(folder):
        experiment = stored_experiment(origin, read_architecture(checkpoint), checkpoint)
    if in_setting is not None:
        found = values_of(in_setting)
        if dataset_fingerprint(origin) is not None:
            places = [Override(field, found[field], str(setting)) for field in DATA_FIELDS]
            experiment = override(experiment, places)
        for path, value in values_of(experiment).items():
            if found[path] != value:
                raise MisuseError(
                    f"{setting}: {path} is {found[path]!r}, but the run was started with "
                    f"{value!r}.\nRestore it, or start another run with --config and this file."
                )
    return StoredRun(experiment, progress, model)


def at_places(folder: Path, stored: StoredRun, places: NewPlaces) -> Experiment:
    """The experiment of a stored run, with the new places of its data."""
    experiment, dataset, root = stored.experiment, places.dataset, places.data_root
    old = experiment.data.dataset
    if dataset is None and root is not None and not Path(old).exists():
        members = name_of(old).split("+")
        dataset = "+".join(str(root / name) if (root / name).exists() else name for name in members)
    given = (dataset, root, places.proposals)
    changes = [
        Override(field, str(value), "--resume")
        for field, value in zip(DATA_FIELDS, given, strict=True)
        if value is not None
    ]
    if not changes:
        return experiment
    if stored.progress is not None and dataset_fingerprint(stored.progress.origin) is None:
        raise MisuseError(
            f"{folder}: this run was started by a version that did not store the fingerprint of "
            f"its dataset,\nso it can only be resumed with the data at its old place ({old})."
        )
    return with_absolute_data(override(experiment, changes))


def has_unseen_images(folder: Path) -> bool:
    """Whether the run's dataset has images to evaluate on, apart from those of its training.

    True if that cannot be known, because the dataset or the setting is missing.
    """
    try:
        data = override(Experiment(), read_toml(folder / SETTING_FILE)).data
        evaluation = default_splits(data.dataset, data.folder).evaluation
    except InputError:
        return True
    return data.val_share > 0 or data.split != evaluation


@dataclass(frozen=True)
class ListedRun:
    """A run, or a folder that looks like one.

    problem: why the run cannot be read; experiment, iteration and finished are None, 0 and
    False then. best: highest mAP on val, None if it was not evaluated. size: bytes of all files.
    """

    folder: Path
    size: int
    experiment: Experiment | None = None
    iteration: int = 0
    finished: bool = False
    best: float | None = None
    problem: str = ""


def list_runs(runs_root: Path) -> list[ListedRun]:
    """The runs in `runs_root`, sorted by name. Raises InputError if it is not a folder."""
    _reject_file(runs_root)
    if not runs_root.is_dir():
        raise InputError(f"{runs_root}: this folder does not exist. `frcnn train` starts a run.")
    folders = [path for path in sorted(runs_root.iterdir()) if path.is_dir()]
    return [run for run in map(_listed, folders) if run is not None]


def _listed(folder: Path) -> ListedRun | None:
    """The run in `folder`; None if it does not look like one."""
    try:
        return _read_listed(folder) if is_run(folder) else None
    except OSError as error:
        return ListedRun(folder, 0, problem=f"{folder}: cannot be read ({error.strerror}).")


def _read_listed(folder: Path) -> ListedRun:
    size = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a run in progress replaces its files
            state = path.lstat()
            size += state.st_size if stat.S_ISREG(state.st_mode) else 0
    try:
        stored = read_run(folder)
    except InputError as error:
        return ListedRun(folder, size, problem=str(error))
    finished = stored.model is not None
    done = 0 if stored.progress is None else stored.progress.iteration
    done = stored.experiment.train.iterations if finished else done
    best = max((score for _, score in read_evaluations(folder)), default=None)
    return ListedRun(folder, size, stored.experiment, done, finished, best)
