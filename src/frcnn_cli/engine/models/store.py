"""Save, load and find models; finding needs no torch."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn_cli.engine.models.file import damaged, load_tensors, read_description, save_tensors
from frcnn_cli.engine.models.local_paths import without_paths
from frcnn_cli.engine.models.shipped.table import (
    default_path,
    list_models,
    listed_model,
    shipped_name,
    shipped_path,
)
from frcnn_cli.engine.reporter import Reporter
from frcnn_proposals.errors import InputError, MisuseError, reason
from frcnn_proposals.suggestions import suggest

if TYPE_CHECKING:
    from torch import Tensor

    from frcnn_cli.engine.network.model import FastRCNN

RUNS = Path("runs")  # the default folder of the training runs
MODEL_FILE = "model.safetensors"
BEST_FILE = "best.safetensors"
CHECKPOINT_FILE = "checkpoint.safetensors"
SETTING_FILE = "setting.toml"
RUN_FILES = (MODEL_FILE, BEST_FILE, CHECKPOINT_FILE, SETTING_FILE)


def save_model(model: FastRCNN, path: Path, origin: dict[str, Any], *, half: bool = False) -> None:
    """Write `model` to `path`. origin: JSON values about its training, stored without paths.

    half: store weights in bfloat16, in half the bytes; reading returns `as_stored(model, half)`.
    """
    save_tensors(path, model.architecture, _stored_state(model, half), without_paths(origin))


def is_half(path: Path) -> bool:
    """Whether a model's weights are stored in bfloat16. Raises InputError for a damaged file."""
    return read_description(path).get("weights") == "bfloat16"


def as_stored(model: FastRCNN, half: bool) -> FastRCNN:
    """The model as it is read back: with `half`, a copy with rounded weights; otherwise `model`."""
    if not half:
        return model
    from frcnn_cli.engine.network.creation import rebuild_model

    return rebuild_model(model.architecture, _stored_state(model, half))


def _stored_state(model: FastRCNN, half: bool) -> dict[str, Tensor]:
    """The state to store; with `half`, weights in bfloat16, except biases and target statistics."""
    state: dict[str, Tensor] = model.state_dict()
    if half:
        weights = {n: p.detach() for n, p in model.named_parameters() if p.dim() > 1}
        state |= {name: weight.bfloat16() for name, weight in weights.items()}
    return state


def load_model(path: Path) -> tuple[FastRCNN, dict[str, Any]]:
    """Load a model, in evaluation mode, and its origin.

    Raises InputError, which names the file, if it is damaged or its weights do not fit.
    """
    from frcnn_cli.engine.network.creation import rebuild_model

    stored = load_tensors(path)
    if any(name.startswith("model.") for name in stored.tensors):
        raise InputError(
            f"{path}: this is the checkpoint of a run, not a model.\n"
            f"Finish the run with `frcnn train --resume {path.parent}`."
        )
    try:
        return rebuild_model(stored.architecture, stored.tensors), stored.origin
    except MisuseError as error:
        raise InputError(f"{path}: {error}") from error
    except RuntimeError as error:
        detail = reason(str(error).splitlines()[-1]).rstrip(".")
        raise damaged(path, f"the weights do not fit the architecture: {detail}") from error


def find_model(given: Path | None, runs_root: Path) -> Path:
    """The path of the model in `given`; None: the newest run's model, or else the shipped one.

    given: decided in the order of `meanings`. Raises MisuseError, with instructions, if there is
    none.
    """
    if given is None:
        if (found := newest_model(runs_root) or default_path()) is None:
            fix = "Train one with `frcnn train voc2007`, or give a model file."
            if (unfinished := newest_unfinished_run(runs_root)) is not None:
                fix = f"Finish the newest run with `frcnn train --resume {unfinished}`."
            raise MisuseError(f"No trained model found in {runs_root}/.\n{fix}")
        return found
    found = next(iter(meanings(given, runs_root)), None) or shipped_path(str(given)) or given
    path = found / MODEL_FILE if found.is_dir() else found
    if is_run(found) and not path.is_file():
        best = found / BEST_FILE
        other = f", or use its best model so far, {best}" if best.is_file() else ""
        raise MisuseError(
            f"{found}: this run has not finished.\n"
            f"Resume it with `frcnn train --resume {found}`{other}."
        )
    if not path.is_file():
        near = closest_model(given.name, runs_root)
        problem = "this folder is not a run" if given.is_dir() else "model not found"
        raise MisuseError(
            f"{given}: {problem}.{'' if near is None else f' Did you mean {near}?'}\n"
            f"Give a .safetensors file, a run in {runs_root} by its name or folder, or a model "
            "of `frcnn model list`."
        )
    return path


def newest_model(runs_root: Path) -> Path | None:
    """The model of the run that finished last; None if there is none."""
    found = runs_root.glob(f"*/{MODEL_FILE}")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def meanings(given: Path, runs_root: Path) -> tuple[Path, ...]:
    """All models and runs that `given` names; the first one decides.

    The order is: a file or a run's folder, the name of a run in `runs_root`, a shipped model.
    """
    found = [given] if given.is_file() or is_run(given) else []
    found += [runs_root / given] if is_run(runs_root / given) else []
    model = listed_model(str(given))
    found += [model.path] if model is not None and model.is_shipped else []
    return tuple({path.resolve(): path for path in reversed(found)}.values())[::-1]


def note_model(
    reporter: Reporter, path: Path, given: Path | None, runs_root: Path, more: str = ""
) -> None:
    """Report which model is used, and what else its name means."""
    if (name := shipped_name(path)) is None:
        line = f"Model: {path}{more}"
    else:
        why = "" if given is not None else f" (no trained model in {runs_root})"
        line = f"Model: {name}, shipped with frcnn{why}{more}"
    reporter.note(line)
    newer = newest_unfinished_run(runs_root, path.stat().st_mtime) if given is None else None
    if newer is not None:
        reporter.note(f"The run {newer} has not finished, and is not used.")
    warn_of_other_meanings(reporter, given, runs_root)


def warn_of_other_meanings(reporter: Reporter, given: Path | None, runs_root: Path) -> None:
    """Warn of runs and shipped models with the name of the given model, which are not used."""
    for other in () if given is None else meanings(given, runs_root)[1:]:
        meaning = "a shipped model" if shipped_name(other) else f"the run {other}"
        reporter.warn(f"{given} is also the name of {meaning}, which is not used.")


def check_network(
    model: Path | None, backbone: str | None, weights: str | None, runs_root: Path
) -> None:
    """Raise, without importing torch, for a model that is missing or given with a backbone.

    weights: of the backbone; None is the default.
    """
    if backbone is None:
        if weights is not None:
            raise MisuseError("Weights are those of a backbone: give --backbone, too.")
        find_model(model, runs_root)
    elif model is not None:
        raise MisuseError("Features come from a model or from a backbone: give only one.")


def find_run(given: Path, runs_root: Path) -> Path:
    """The folder of the run of this name in `runs_root`, unless `given` is a file or a run itself.

    A name that is neither is returned unchanged.
    """
    folder = runs_root / given
    return folder if not (given.is_file() or is_run(given)) and is_run(folder) else given


def closest_model(name: str, runs_root: Path, others: Iterable[str] = ()) -> str | None:
    """The run or listed model that `name` probably means, in words; None if one of `others` is."""
    runs, listed = run_names(runs_root), [model.name for model in list_models()]
    near = suggest(name, [*runs, *listed, *others])
    if near in runs:
        return f"the run {near}"
    return f"the model {near}" if near in listed else None


def run_names(runs_root: Path) -> list[str]:
    """The names of the runs in `runs_root`, sorted, without folders that cannot be read."""
    names = []
    with suppress(OSError):
        for folder in sorted(runs_root.iterdir()):
            with suppress(OSError):
                names += [folder.name] if is_run(folder) else []
    return names


def newest_unfinished_run(runs_root: Path, since: float = 0.0) -> Path | None:
    """The folder of the newest run that has no model yet, if it was started after `since`."""
    started = {
        path.parent: path.stat().st_mtime
        for path in runs_root.glob(f"*/{SETTING_FILE}")
        if not (path.parent / MODEL_FILE).exists()
    }
    newest = max(started, key=lambda folder: started[folder], default=None)
    return newest if newest is not None and started[newest] > since else None


def is_run(folder: Path) -> bool:
    """Whether `folder` contains a file of a run, which may have stopped before a checkpoint."""
    return any((folder / name).exists() for name in RUN_FILES)


def is_model(path: Path) -> bool:
    """Whether `path` is a .safetensors file or the folder of a run."""
    return path.suffix == ".safetensors" or is_run(path)
