"""The detector that training starts from: its file, its classes, and the images that it has seen.

This needs no torch; `initial` reads the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from frcnn_cli.engine.models.file import read_architecture, read_description
from frcnn_cli.engine.models.provenance import (
    dataset_fingerprint,
    earlier_fingerprints,
    with_dataset,
)
from frcnn_cli.engine.models.shipped.table import (
    DEFAULT,
    default_path,
    display_name,
    shipped_name,
)
from frcnn_cli.engine.models.store import find_model
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.reporter import Reporter
from frcnn_cli.engine.settings import Architecture, Experiment, TrainSettings
from frcnn_proposals.wording import counted, first_of

# For fewer training images, `frcnn train` suggests the shipped detector, if it knows one of their
# classes: without a known class it was worse (docs/training.md).
FEW_IMAGES = 300
_NAMED_CLASSES = 5


def find_initial(init: str) -> Path:
    """The path of the detector in the setting `init`, which is a path or a shipped name."""
    return find_model(Path(init), Path(init).parent)


def origin_from(init: str, origin: dict[str, Any]) -> dict[str, Any]:
    """The origin of a model that starts from the detector `init`; unchanged without one.

    It has the fingerprints of all images that the detector has learned from, and None for those
    that are unknown.
    """
    dataset = dataset_fingerprint(origin)
    if not init or dataset is None:
        return origin
    start = read_description(find_initial(init))["origin"]
    return with_dataset(origin, dataset, (dataset_fingerprint(start), *earlier_fingerprints(start)))


def untrained_parts(architecture: Architecture, train: TrainSettings) -> dict[str, str]:
    """The parts of a detector that these settings do not train, and the variants that do."""
    parts = {}
    if architecture.cascade and not train.cascade_iou:
        parts["second head"] = "cascade"
    if architecture.ranker and not train.ranked_rois:
        parts["ranker"] = "ranked"
    return parts


def note_start(experiment: Experiment, data: Dataset, reporter: Reporter) -> None:
    """Report the detector that training starts from; without one, suggest it for few images."""
    if not experiment.init:
        if len(data) < FEW_IMAGES:
            _suggest_shipped(experiment, data.classes, reporter)
        return
    path = find_initial(experiment.init)
    architecture = read_architecture(path)
    line = f"Starting from {display_name(path)}"
    line += ", shipped with frcnn" if shipped_name(path) else ""
    if architecture.classifier == "softmax" and not experiment.train.is_weak:
        line += f", which knows {_known_classes(architecture.classes, data.classes)}"
    reporter.note(line)


def _suggest_shipped(experiment: Experiment, classes: Sequence[str], reporter: Reporter) -> None:
    """Suggest the shipped detector if it knows a class, and the experiment only needs `init`."""
    path, train = default_path(), experiment.train
    if path is None or experiment.weights != "imagenet" or train.is_weak:
        return
    shipped = read_architecture(path)
    if shipped.backbone != experiment.backbone or untrained_parts(shipped, train):
        return
    if not set(shipped.classes).isdisjoint(classes):
        reporter.note(
            f"Fewer than {FEW_IMAGES:,} images: `--init {DEFAULT}` is probably better. The shipped "
            f"detector knows {_known_classes(shipped.classes, classes)}"
        )


def _known_classes(known: Sequence[str], classes: Sequence[str]) -> str:
    """Which classes of a dataset a detector knows, in words."""
    new = [name for name in classes if name not in known]
    every = counted(len(classes), "class", "classes")
    if not new:
        return f"all {every}" if len(classes) > 1 else "the class"
    if len(new) == len(classes):
        return f"none of the {every}" if len(classes) > 1 else "no class of the dataset"
    return f"{len(classes) - len(new)} of the {every}; new: {first_of(new, _NAMED_CLASSES)}"
