"""Information about a model file or a backbone; wrong names and paths are found without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn_cli.engine.datasets.readers.voc import VOC_CLASSES
from frcnn_cli.engine.models.provenance import stored_experiment
from frcnn_cli.engine.models.shipped.table import listed_model, shipped_name
from frcnn_cli.engine.models.store import closest_model, find_model, load_model, meanings
from frcnn_cli.engine.network.backbones.defaults import DEFAULTS, TORCHVISION
from frcnn_cli.engine.network.backbones.find import find_backbone, find_defaults
from frcnn_cli.engine.settings import Architecture, Experiment
from frcnn_proposals.errors import MisuseError

if TYPE_CHECKING:
    from frcnn_cli.engine.network.layer_costs import NetworkCost


@dataclass(frozen=True)
class ModelFile:
    """A model file.

    size: in bytes. experiment: the settings that the model was trained with. compressed_from: the
    original of a compressed model. card: the model card of a shipped model.
    """

    path: Path
    size: int
    experiment: Experiment
    compressed_from: str | None
    card: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelInfo:
    """A network, the costs of its layers at its own scale, and its file (None for a backbone)."""

    architecture: Architecture
    costs: NetworkCost
    file: ModelFile | None = None


def model_info(given: str | None, runs_root: Path) -> ModelInfo:
    """Information about `given`: a backbone by name, or a model as in `find_model`.

    A backbone gets a head for the 20 classes of VOC. A file is
    read completely, so that damage anywhere is found. Raises MisuseError for an unknown name, which
    suggests the closest one, and InputError for a damaged file.
    """
    if given is not None and (given in DEFAULTS or given.startswith(TORCHVISION)):
        backbone = find_backbone(given)
        architecture = Architecture(given, VOC_CLASSES, backbone.hidden, backbone.preprocessing)
        return _with_costs(architecture)
    if given is not None and _is_meant_as_backbone(given, runs_root):
        try:
            find_defaults(given)
        except MisuseError as error:
            missing = "There is no model file and no run of that name either"
            raise MisuseError(f"{error}\n{missing}; `frcnn runs` lists the runs.") from None
    path = find_model(None if given is None else Path(given), runs_root)
    model, origin = load_model(path)
    experiment = stored_experiment(origin, model.architecture, path)
    source = origin.get("compressed_from")
    listed = listed_model(shipped_name(path) or "")
    file = ModelFile(
        path,
        path.stat().st_size,
        experiment,
        None if source is None else str(source),
        {} if listed is None else listed.card,
    )
    return _with_costs(model.architecture, file)


def _is_meant_as_backbone(name: str, runs_root: Path) -> bool:
    """Whether an unknown name resembles neither a path, nor a run, nor a listed model."""
    path = Path(name)
    if path.exists() or len(path.parts) != 1 or path.suffix or listed_model(name) is not None:
        return False
    return not meanings(path, runs_root) and closest_model(name, runs_root, DEFAULTS) is None


def _with_costs(architecture: Architecture, file: ModelFile | None = None) -> ModelInfo:
    from frcnn_cli.engine.network.layer_costs import layer_costs

    return ModelInfo(architecture, layer_costs(architecture), file)
