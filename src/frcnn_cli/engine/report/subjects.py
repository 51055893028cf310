"""From detections and whatever is known of the detector to a report's subject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frcnn_cli.engine.detection.image import threshold_for
from frcnn_cli.engine.evaluation.curves import precision_recall_curves
from frcnn_cli.engine.evaluation.errors import diagnose
from frcnn_cli.engine.evaluation.scores import evaluate
from frcnn_cli.engine.evaluation.tables import detection_table, truth_table
from frcnn_cli.engine.models.store import MODEL_FILE
from frcnn_cli.engine.network.model import FastRCNN, parameter_count
from frcnn_cli.engine.records import Dataset, Detections
from frcnn_cli.engine.report.records import Subject
from frcnn_cli.engine.report.setup import all_settings, setting_of
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.training.metrics import read_training_log


@dataclass(frozen=True)
class Origin:
    """Where a model came from: its file, the experiment that made it, the JSON in its file."""

    path: Path
    experiment: Experiment
    stored: Mapping[str, Any]


def subject_of_file(
    dataset: Dataset, detections: Mapping[str, Detections], file: Path, threshold: float = 0.5
) -> Subject:
    """The subject that a file of detections alone makes."""
    setting = {"Detections": str(file)}
    return _subject(dataset, detections, file.stem, setting, threshold=threshold)


def subject_of_model(
    dataset: Dataset,
    detections: Mapping[str, Detections],
    model: FastRCNN,
    origin: Origin,
    stages: Mapping[str, float],
    threshold: float | None = None,
) -> Subject:
    """A model's subject; the log of its training is looked for beside its file.

    stages: seconds an image by stage. threshold: None takes the model's usual one.
    """
    path = origin.path.resolve()
    folder = path.parent
    return _subject(
        dataset,
        detections,
        folder.name if path.name == MODEL_FILE else f"{folder.name}/{path.stem}",
        setting_of(model, origin.path, origin.experiment, origin.stored),
        all_settings=all_settings(origin.experiment),
        log=read_training_log(folder),
        stages=stages,
        parameters=parameter_count(model),
        threshold=threshold_for(model, threshold),
    )


def _subject(
    dataset: Dataset,
    detections: Mapping[str, Detections],
    name: str,
    setting: Mapping[str, str],
    **known: Any,
) -> Subject:
    truth, found = truth_table(dataset), detection_table(dataset, detections)
    return Subject(
        name=name,
        setting=setting,
        evaluation=evaluate(dataset, detections),
        found=found,
        diagnosis=diagnose(truth, found),
        curves=precision_recall_curves(dataset.classes, truth, found),
        **known,
    )
