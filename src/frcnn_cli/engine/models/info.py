"""Facts about a model file, or a backbone; errors in a name or a path need no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn_cli.engine.datasets.readers.voc import VOC_CLASSES
from frcnn_cli.engine.models.provenance import stored_experiment
from frcnn_cli.engine.models.store import find_model, load_model
from frcnn_cli.engine.network.backbones.defaults import DEFAULTS, TORCHVISION
from frcnn_cli.engine.network.backbones.find import find_backbone, find_defaults
from frcnn_cli.engine.settings import Architecture, Experiment
from frcnn_proposals.errors import InputError, MisuseError

if TYPE_CHECKING:
    from frcnn_cli.engine.network.layer_costs import NetworkCost


@dataclass(frozen=True)
class ModelFile:
    """Where a model lies, its size in bytes, the experiment that made it, and from which
    model it was compressed, if it was."""

    path: Path
    size: int
    experiment: Experiment
    compressed_from: str | None


@dataclass(frozen=True)
class ModelInfo:
    """A network, what its layers cost at its own scale, and its file, if it has one."""

    architecture: Architecture
    costs: NetworkCost
    file: ModelFile | None = None


def model_info(given: str | None, runs_root: Path) -> ModelInfo:
    """About `given`: a backbone's name, a model file or a run's folder; the newest run's
    model for None.

    A backbone is shown with a head for the 20 classes of VOC. A file is read as a whole, so
    that what is wrong in it comes out. Raises MisuseError for an unknown name, with the
    nearest backbone, and InputError for a damaged file.
    """
    if given is not None and (given in DEFAULTS or given.startswith(TORCHVISION)):
        return _of_backbone(given)
    path = None if given is None else Path(given)
    if path is not None and not path.exists() and not _looks_like_a_path(path):
        try:
            find_defaults(str(path))
        except MisuseError as error:
            raise MisuseError(f"{error}\nNor is there a model file of that name.") from None
    return _of_file(find_model(path, runs_root))


def _looks_like_a_path(path: Path) -> bool:
    return len(path.parts) > 1 or path.suffix != ""


def _of_backbone(name: str) -> ModelInfo:
    from frcnn_cli.engine.network.layer_costs import layer_costs

    backbone = find_backbone(name)
    architecture = Architecture(name, VOC_CLASSES, backbone.hidden, backbone.preprocessing)
    return ModelInfo(architecture, layer_costs(architecture))


def _of_file(path: Path) -> ModelInfo:
    from frcnn_cli.engine.network.layer_costs import layer_costs

    model, origin = load_model(path)
    architecture = model.architecture
    try:
        experiment = stored_experiment(origin, architecture)
    except MisuseError as error:
        raise InputError(f"{path}: {error}") from error
    compressed_from = origin.get("compressed_from")
    file = ModelFile(
        path,
        path.stat().st_size,
        experiment,
        None if compressed_from is None else str(compressed_from),
    )
    return ModelInfo(architecture, layer_costs(architecture), file)
