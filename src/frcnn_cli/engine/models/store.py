"""Save, load and find models; finding needs no torch."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn_cli.engine.models.file import load_tensors, read_description, save_tensors
from frcnn_cli.engine.models.local_paths import without_paths
from frcnn_proposals.errors import InputError, MisuseError, reason
from frcnn_proposals.suggestions import suggest

if TYPE_CHECKING:
    from torch import Tensor

    from frcnn_cli.engine.network.model import FastRCNN

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
    from frcnn_cli.engine.network.model import rebuild_model

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
    from frcnn_cli.engine.network.model import rebuild_model

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
        detail = reason(str(error).splitlines()[-1])
        raise InputError(f"{path}: the weights do not fit the architecture: {detail}") from error


def find_model(given: Path | None, runs_root: Path) -> Path:
    """The path of the model in `given`; None: the newest run's model.

    given: a file, a run's folder, or the name of a run in `runs_root`, looked up in this order.
    Raises MisuseError, with instructions, if there is none.
    """
    if given is None:
        found = sorted(runs_root.glob(f"*/{MODEL_FILE}"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise MisuseError(
                f"No trained model found in {runs_root}/.\n"
                "Train one with `frcnn train voc2007`, or give a model file."
            )
        return found[-1]
    given = find_run(given, runs_root)
    path = given / MODEL_FILE if given.is_dir() else given
    if is_run(given) and not path.is_file():
        best = given / BEST_FILE
        other = f", or use its best model so far, {best}" if best.is_file() else ""
        raise MisuseError(
            f"{given}: this run has not finished.\n"
            f"Resume it with `frcnn train --resume {given}`{other}."
        )
    if not path.is_file():
        near = suggest(str(given), run_names(runs_root))
        hint = "" if near is None else f" Did you mean the run {near}?"
        raise MisuseError(
            f"{given}: model not found.{hint}\n"
            f"Give a .safetensors file, or a run in {runs_root} by its name or folder."
        )
    return path


def find_run(given: Path, runs_root: Path) -> Path:
    """`given` if it exists, otherwise the folder of the run of this name in `runs_root`.

    A name that is neither is returned unchanged.
    """
    folder = runs_root / given
    return folder if not given.exists() and is_run(folder) else given


def run_names(runs_root: Path) -> list[str]:
    """The names of the runs in `runs_root`, sorted, without folders that cannot be read."""
    names = []
    with suppress(OSError):
        for folder in sorted(runs_root.iterdir()):
            with suppress(OSError):
                names += [folder.name] if is_run(folder) else []
    return names


def is_run(folder: Path) -> bool:
    """Whether `folder` contains a file of a run, which may have stopped before a checkpoint."""
    return any((folder / name).exists() for name in RUN_FILES)


def is_model(path: Path) -> bool:
    """Whether `path` is a .safetensors file or the folder of a run."""
    return path.suffix == ".safetensors" or is_run(path)
