"""What `frcnn report` reports on: models or files, their detections, their time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from frcnn_cli.commands.shared.console import Output
from frcnn_cli.engine.datasets.layout import refuse_unless_picture
from frcnn_cli.engine.detection.dataset import detect_with_journal, readable_images
from frcnn_cli.engine.detection.journal import Journal
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.stage_times import mean_stages
from frcnn_cli.engine.distributed.devices import find_device
from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.evaluation.images import open_images, open_split
from frcnn_cli.engine.models.loaded import LoadedModel, open_model
from frcnn_cli.engine.proposals.for_dataset import DatasetProposals, proposals_for
from frcnn_cli.engine.records import Dataset, Detections
from frcnn_cli.engine.report.records import Subject
from frcnn_cli.engine.report.subjects import Origin, subject_of_file, subject_of_model
from frcnn_cli.engine.settings.options import DataOptions, DetectionOptions
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError

USUAL_THRESHOLD = 0.5


@dataclass(frozen=True)
class Asked:
    """What the command line said. Raises MisuseError where it contradicts itself."""

    models: tuple[Path, ...]
    data: DataOptions
    detection: DetectionOptions
    detections: tuple[Path, ...]
    compared_from: float | None
    runs_root: Path
    device: str

    def __post_init__(self) -> None:
        if len(self.models) > 2 or len(self.detections) > 2:
            raise MisuseError("A report compares two models at most.")
        if self.models and self.detections and len(self.models) != len(self.detections):
            raise MisuseError("Give --detections once for each model, or not at all.")
        if self.detections and not self.models and self.data.dataset is None:
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
        open_model(path, asked.runs_root, device, asked.detection.precision, reporter=output)
        for path in asked.models or (None,)
    )
    found = open_images(loaded[0], asked.data, others=loaded[1:], reporter=output)
    return _of_models(output, asked, loaded, found)


def _of_files(output: Output, asked: Asked) -> Material:
    data = asked.data
    assert data.dataset is not None
    dataset = open_split(
        data.dataset, data.split, data.data_root, refuse_unless_picture, reporter=output
    )
    threshold = USUAL_THRESHOLD if asked.compared_from is None else asked.compared_from
    subjects = tuple(
        subject_of_file(dataset, read_detections(path, dataset), path, threshold)
        for path in asked.detections
    )
    if data.proposals is None:
        return Material(dataset, subjects)
    found = proposals_for(
        output, dataset, data.proposals, data.source,
        data_root=data.data_root, allow_mismatch=data.allow_mismatch,
    )  # fmt: skip
    return Material(dataset, subjects, found.proposals)


def _of_models(
    output: Output,
    asked: Asked,
    loaded: Sequence[LoadedModel],
    found: DatasetProposals,
) -> Material:
    settings = [asked.detection.for_evaluation(each.experiment.detect) for each in loaded]
    dataset, journals = found.dataset, []
    detections: list[Mapping[str, Detections]]
    if asked.detections:
        detections = [read_detections(path, dataset) for path in asked.detections]
    else:
        detections = []
        for each, how in zip(loaded, settings, strict=True):
            detected = detect_with_journal(each, found, how, reporter=output)
            journals.append(detected.journal)
            detections.append(detected.detections)
        dataset = readable_images(dataset, detections)
    with output.progress("Timing", None):
        models = [prepare_model(each.model, each.precision) for each in loaded]
        stages = mean_stages(models, dataset, found.proposals, settings[0])
    subjects = tuple(
        subject_of_model(
            dataset,
            of_model,
            each.model,
            Origin(each.path, each.experiment, each.origin),
            seconds,
            asked.compared_from,
        )
        for each, of_model, seconds in zip(loaded, detections, stages, strict=True)
    )
    most = max(how.proposals for how in settings)
    return Material(dataset, subjects, found.proposals, most, tuple(journals))
