"""Judging a model while it trains, and keeping the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.detection.dataset import detect_dataset, gather_detections
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.evaluation.voc import evaluate_voc
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import DataSettings, DetectSettings, Precision
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError

SPLIT = "val"


@dataclass(frozen=True)
class Validation:
    """What a model is judged on as it trains. settings: of detection; every score counts."""

    dataset: Dataset
    proposals: Mapping[str, Proposals]
    settings: DetectSettings = field(default_factory=lambda: DetectSettings(score_threshold=None))


def validation_dataset(data: DataSettings, training: Dataset) -> Dataset:
    """The val split of the data set that `training` is a split of.

    Raises MisuseError where there is none, it is not annotated, it has other classes, or an
    image of it is trained on: a model must not be chosen by what it has learned by heart.
    """
    way_out = "Leave --eval-every out, or train on a split beside it (--split train)."
    try:
        found = find_dataset(data.dataset, SPLIT, Path(data.root) if data.root else None)
    except MisuseError as error:
        raise MisuseError(f"There is no val split to evaluate on: {error}\n{way_out}") from error
    trained = {record.path.resolve() for record in training.images}
    shared = sum(record.path.resolve() in trained for record in found.images)
    if shared:
        raise MisuseError(
            f"{shared} images of val are among those of {training.split} that are trained on.\n"
            f"{way_out}"
        )
    if any(record.truth is None for record in found.images) or not found.images:
        raise MisuseError(f"The val split of {data.dataset} is not annotated.\n{way_out}")
    if found.classes != training.classes:
        raise MisuseError(f"The val split of {data.dataset} has other classes.\n{way_out}")
    return found


def validate(model: FastRCNN, validation: Validation, team: Team = ALONE) -> float:
    """Mean average precision (VOC2007's, 0..1) on the validation set; 0 where nothing counts.

    A copy made ready for detection is judged: the model is left as it was, in training. Each
    process of the team detects in its part of the images, and has the score of all.
    """
    precision: Precision = "bfloat16" if validation.settings.precision == "bfloat16" else "float32"
    prepared, whole = prepare_model(model, precision), validation.dataset
    part = replace(whole, images=team.part(whole.images))
    of_part = detect_dataset(prepared, part, validation.proposals, validation.settings)
    found = gather_detections(team, of_part).detections
    return evaluate_voc(whole, found).map_11point or 0.0
