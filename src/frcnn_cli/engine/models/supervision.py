"""Whether a model that is trained from image labels has learned from boxes through its start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frcnn_cli.engine.models.file import read_architecture, read_description
from frcnn_cli.engine.models.initial_detector import find_initial
from frcnn_cli.engine.models.provenance import stored_experiment
from frcnn_cli.engine.models.shipped.table import display_name
from frcnn_cli.engine.settings import Experiment, ProposalSettings
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.formats.content import kind_of
from frcnn_proposals.formats.known import STATED
from frcnn_proposals.formats.read import open_stated
from frcnn_proposals.sources.registry import parse_parameters

_RANKED = "ranked"
_OPTION = "weak.seen_boxes"


def check_supervision(experiment: Experiment) -> None:
    """Check that training from image labels does not start from what was learned from boxes.

    That is a detector that was trained on boxes, or proposals in the order of one's ranker. Raises
    MisuseError, unless weak.seen_boxes allows it; also if there is nothing to allow.
    """
    train = experiment.train
    if not train.is_weak:
        return
    sources = [*_detector_with_boxes(experiment.init), *_ranking(experiment.proposals)]
    if sources and not train.weak.seen_boxes:
        raise MisuseError(
            f"{' and '.join(sources)} learned from boxes, so that training with classifier "
            f"'{train.classifier}' would not be from image labels alone.\n"
            f"Omit it, or allow it with --set {_OPTION}=true; the model and its report then say so."
        )
    if train.weak.seen_boxes and not sources:
        raise MisuseError(f"{_OPTION} has no effect: this training does not start from boxes.")


def supervision(experiment: Experiment) -> str | None:
    """What a model was trained from, in words; None if from boxes."""
    train = experiment.train
    if not train.is_weak:
        return None
    if not train.weak.seen_boxes:
        return "image labels"
    return "image labels, starting from a detector or an order of proposals that learned from boxes"


def _detector_with_boxes(init: str) -> list[str]:
    """The detector to start from, if it has learned from boxes."""
    if not init:
        return []
    path = find_initial(init)
    experiment = stored_experiment(read_description(path)["origin"], read_architecture(path), path)
    is_from_labels = read_architecture(path).is_weak and not experiment.train.weak.seen_boxes
    return [] if is_from_labels else [f"The detector {display_name(path)}"]


def _ranking(proposals: ProposalSettings) -> list[str]:
    """The source or file of proposals, if a detector's ranker has ordered them."""
    if proposals.file:
        return _ranked_file(proposals.file)
    if _RANKED in proposals.source.split("+"):
        return [f"The proposal source {proposals.source}"]
    # The source `precomputed`, alone or in a union, has a file as parameter.
    parameters = parse_parameters(proposals.parameters)
    return [found for text in _texts(parameters) for found in _ranked_file(text)]


def _texts(value: Any) -> Iterator[str]:
    """The texts in the parameters of a source; those of a union are nested."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _ranked_file(file: str) -> list[str]:
    """The store or folder of parts, if its source is ranked; other formats do not state theirs."""
    path = Path(file)
    try:
        sources = open_stated(path).provenance.sources if file and kind_of(path) in STATED else ()
    except (InputError, OSError):
        return []
    return [f"The order of the proposals in {file}"] if _RANKED in sources else []
