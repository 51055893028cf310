"""What `frcnn report` reports on: models or files, their detections, their time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from frcnn_cli.commands.shared.console import Output
from frcnn_cli.commands.shared.detection_options import (
    dataset_journal,
    detect_settings,
    unfinished,
)
from frcnn_cli.commands.shared.model_and_data import (
    LoadedModel,
    check_classes,
    open_evaluation_split,
    open_model,
    open_split,
)
from frcnn_cli.engine.datasets.layout import refuse_unless_picture
from frcnn_cli.engine.detection.images import detect_dataset, scored_images
from frcnn_cli.engine.detection.journal import Journal
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.stage_times import mean_stages
from frcnn_cli.engine.distributed.devices import find_device
from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.proposals.for_dataset import DatasetProposals, proposals_for, warn_of_some
from frcnn_cli.engine.records import Dataset, Detections
from frcnn_cli.engine.report.records import Subject
from frcnn_cli.engine.report.subjects import Origin, subject_of_file, subject_of_model
from frcnn_cli.engine.settings import DetectSettings, PrecisionChoice
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError

USUAL_THRESHOLD = 0.5


@dataclass(frozen=True)
class Asked:
    """What the command line said. Raises MisuseError where it contradicts itself."""

    models: tuple[Path, ...]
    dataset: str | None
    split: str | None
    data_root: Path | None
    proposals: Path | None
    source: str | None
    allow_mismatch: bool
    top_k: int | None
    precision: PrecisionChoice
    tta: str | None
    scales: str | None
    no_box_regression: bool
    box_voting: float | None
    detections: tuple[Path, ...]
    score_threshold: float | None
    runs_root: Path
    device: str

    def __post_init__(self) -> None:
        if len(self.models) > 2 or len(self.detections) > 2:
            raise MisuseError("A report compares two models at most.")
        if self.models and self.detections and len(self.models) != len(self.detections):
            raise MisuseError("Give --detections once for each model, or not at all.")
        if self.detections and not self.models and self.dataset is None:
            raise MisuseError("--detections without a model needs --dataset.")


@dataclass(frozen=True)
class Material:
    """The subjects and the images that they are judged on. proposals: None where none are at
    hand; most_proposals: how many of an image a detector takes. journals: of detections that
    an interruption would have kept."""

    dataset: Dataset
    subjects: tuple[Subject, ...]
    proposals: Mapping[str, Proposals] | None = None
    most_proposals: int | None = None
    journals: tuple[Journal, ...] = ()


def gather(output: Output, asked: Asked) -> Material:
    """Open, detect and judge what the command line names."""
    if asked.detections and not asked.models:
        return _of_files(output, asked)
    device = find_device(asked.device)
    loaded = tuple(
        open_model(output, path, asked.runs_root, device, asked.precision)
        for path in asked.models or (None,)
    )
    judged = open_evaluation_split(output, loaded[0], asked.dataset, asked.split, asked.data_root)
    for each in loaded[1:]:
        check_classes(each, judged.dataset)
    source = asked.source or loaded[0].experiment.proposals.source
    found = proposals_for(
        output,
        judged.dataset,
        asked.proposals,
        source,
        data_root=judged.data_root,
        allow_mismatch=asked.allow_mismatch,
    )
    return _of_models(output, asked, loaded, found, source)


def _of_files(output: Output, asked: Asked) -> Material:
    assert asked.dataset is not None
    dataset = open_split(
        output, asked.dataset, asked.split, asked.data_root, report=refuse_unless_picture
    )
    threshold = USUAL_THRESHOLD if asked.score_threshold is None else asked.score_threshold
    subjects = tuple(
        subject_of_file(dataset, read_detections(path, dataset), path, threshold)
        for path in asked.detections
    )
    if asked.proposals is None:
        return Material(dataset, subjects)
    found = proposals_for(
        output, dataset, asked.proposals, asked.source,
        data_root=asked.data_root, allow_mismatch=asked.allow_mismatch,
    )  # fmt: skip
    return Material(dataset, subjects, found.proposals)


def _of_models(
    output: Output,
    asked: Asked,
    loaded: Sequence[LoadedModel],
    found: DatasetProposals,
    source: str,
) -> Material:
    settings = [detect_settings(each, asked) for each in loaded]
    dataset, journals = found.dataset, []
    detections: list[Mapping[str, Detections]]
    if asked.detections:
        detections = [read_detections(path, dataset) for path in asked.detections]
    else:
        detections = []
        for each, how in zip(loaded, settings, strict=True):
            journal = dataset_journal(each, found, how, source, asked.proposals)
            journals.append(journal)
            detections.append(_detect(output, each, found, how, journal))
        dataset = scored_images(dataset, detections)
    with output.progress("Timing", None):
        models = [prepare_model(each.model, each.precision) for each in loaded]
        stages = mean_stages(models, dataset, found.proposals, settings[0])
    subjects = tuple(
        subject_of_model(
            dataset,
            detected,
            each.model,
            Origin(each.path, each.experiment, each.origin),
            seconds,
            asked.score_threshold,
        )
        for each, detected, seconds in zip(loaded, detections, stages, strict=True)
    )
    most = max(how.proposals for how in settings)
    return Material(dataset, subjects, found.proposals, most, tuple(journals))


def _detect(
    output: Output,
    loaded: LoadedModel,
    found: DatasetProposals,
    settings: DetectSettings,
    journal: Journal,
) -> Mapping[str, Detections]:
    with unfinished(output, journal), output.progress("Detecting", len(found.dataset)) as advance:
        model = prepare_model(loaded.model, loaded.precision)
        detected = detect_dataset(
            model, found.dataset, found.proposals, settings, lambda: advance(1, ""), journal
        )
    warn_of_some(output, detected.unreadable)
    return detected.detections
