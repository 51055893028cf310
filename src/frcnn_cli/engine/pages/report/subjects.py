"""Complete reports: their subjects, and the page with its plots."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from frcnn_cli import __version__
from frcnn_cli.engine.detection.dataset import detect_with_journal, readable_images
from frcnn_cli.engine.detection.image import threshold_for
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.stage_times import mean_stages
from frcnn_cli.engine.drawing.fonts import warn_of_missing_letters
from frcnn_cli.engine.evaluation.at_threshold import evaluate_at_threshold
from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.evaluation.errors import diagnose
from frcnn_cli.engine.evaluation.images import open_images, open_split
from frcnn_cli.engine.evaluation.recall import evaluate_recall
from frcnn_cli.engine.evaluation.scores import evaluate
from frcnn_cli.engine.evaluation.tables import detection_table, truth_table
from frcnn_cli.engine.evaluation.voc import precision_recall_curves
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.models.seen_images import seen_images, warn_early
from frcnn_cli.engine.network.model import parameter_count
from frcnn_cli.engine.pages.report.page import write_report
from frcnn_cli.engine.pages.report.records import Report, Subject
from frcnn_cli.engine.pages.report.summary import all_settings, machine_facts, main_settings
from frcnn_cli.engine.proposals.for_dataset import proposals_for
from frcnn_cli.engine.records import Dataset, Detections
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import ProposalSettings
from frcnn_cli.engine.settings.options import DataOptions, DetectionOptions
from frcnn_cli.engine.training.metrics import read_training_log
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError

DEFAULT_THRESHOLD = 0.5


def report_on_models(
    models: Sequence[LoadedModel],
    folder: Path,
    data: DataOptions | None = None,
    detection: DetectionOptions | None = None,
    detections: Sequence[Path] = (),
    threshold: float | None = None,
    reporter: Reporter = SILENT,
    corloc: bool = False,
) -> Path:
    """Write a report on one model, or on two side by side, and return the page's path.

    data: by default the first model's own dataset. detections: one file per model, used instead
    of running the models. Otherwise detections are cached until the report is written, so that
    the next call resumes an interrupted report. threshold: minimum score of a detection that
    counts in precision, recall, the confusions and the comparison image by image; None takes each
    model's default. corloc: show CorLoc too.
    """
    images = open_images(models[0], data or DataOptions(), models[1:], reporter=reporter)
    detection = detection or DetectionOptions()
    settings = [
        detection.for_evaluation(loaded.experiment.detect, loaded.model.architecture)
        for loaded in models
    ]
    dataset, journals, digests = images.dataset, [], dict(images.digests)
    warned = [warn_early(loaded, dataset, digests, reporter) for loaded in models]
    found: list[Mapping[str, Detections]] = []
    if detections:
        found = [read_detections(path, dataset, reporter) for path in detections]
    else:
        for loaded, own in zip(models, settings, strict=True):
            detected = detect_with_journal(loaded, images, own, reporter=reporter)
            journals.append(detected.journal)
            digests |= detected.digests
            found.append(detected.detections)
        dataset = readable_images(dataset, found)
    with reporter.progress("Timing", None):
        prepared = [prepare_model(loaded.model, loaded.precision) for loaded in models]
        stages = mean_stages(prepared, dataset, images.proposals, settings)
    root = None if data is None else data.data_root
    subjects = tuple(
        subject_of_model(
            dataset,
            of_model,
            loaded,
            seconds,
            threshold,
            seen_images(loaded, dataset, digests, root, SILENT if early else reporter),
        )
        for loaded, of_model, seconds, early in zip(models, found, stages, warned, strict=True)
    )
    most = max(own.proposals for own in settings)
    device = models[0].model.offset_means.device
    page = _write(folder, dataset, subjects, device, images.proposals, most, reporter, corloc)
    for journal in journals:
        journal.remove()
    return page


def report_on_files(
    files: Sequence[Path],
    folder: Path,
    data: DataOptions,
    device: torch.device,
    threshold: float | None = None,
    reporter: Reporter = SILENT,
    corloc: bool = False,
) -> Path:
    """Write a report on one or two files of detections, and return the page's path.

    data: names the dataset, and may name a file of proposals. device: listed among the machine's
    properties. corloc: show CorLoc too. Raises MisuseError if no dataset is named.
    """
    if data.dataset is None:
        raise MisuseError("A report on detections without a model requires a dataset.")
    dataset = open_split(
        data.dataset, data.split, data.data_root,
        allow_mismatch=data.allow_mismatch, needs_images=False, reporter=reporter,
    )  # fmt: skip
    threshold = DEFAULT_THRESHOLD if threshold is None else threshold
    subjects = tuple(
        subject_of_file(dataset, read_detections(path, dataset, reporter), path, threshold)
        for path in files
    )
    proposals = None
    if data.proposals is not None:
        proposals = proposals_for(
            reporter,
            dataset,
            data.proposal_settings(ProposalSettings()),
            data_root=data.data_root,
        ).proposals
    return _write(folder, dataset, subjects, device, proposals, None, reporter, corloc)


def _write(
    folder: Path,
    dataset: Dataset,
    subjects: tuple[Subject, ...],
    device: torch.device,
    proposals: Mapping[str, Proposals] | None,
    most_proposals: int | None,
    reporter: Reporter,
    corloc: bool,
) -> Path:
    """Write the page. most_proposals: the detectors' limit per image; None means all."""
    recall = None
    if proposals is not None:
        with reporter.progress("Recall", len(dataset)) as advance:
            recall = evaluate_recall(dataset, proposals, most_proposals, lambda: advance(1, ""))
    made = f"Created by frcnn {__version__} on {datetime.date.today().isoformat()}"
    machine = machine_facts(device)
    warn_of_missing_letters(reporter, (*dataset.classes, *(subject.name for subject in subjects)))
    with reporter.progress("Drawing", None):
        truth = truth_table(dataset)
        report = Report(dataset, truth, subjects, recall, machine, made, corloc)
        return write_report(report, folder)


def subject_of_file(
    dataset: Dataset, detections: Mapping[str, Detections], file: Path, threshold: float = 0.5
) -> Subject:
    """The subject of a file of detections without a model."""
    setting = {"Detections": file.name}
    return _subject(dataset, detections, file.stem, setting, threshold=threshold)


def subject_of_model(
    dataset: Dataset,
    detections: Mapping[str, Detections],
    loaded: LoadedModel,
    stages: Mapping[str, float],
    threshold: float | None = None,
    trained_on: int | None = None,
) -> Subject:
    """The subject of a model, with the training log from the model's folder.

    stages: seconds per image by stage. threshold: None takes the model's default.
    """
    path = loaded.path.resolve()
    folder = path.parent
    return _subject(
        dataset,
        detections,
        loaded.short_name,
        main_settings(loaded),
        all_settings=all_settings(loaded.experiment),
        log=read_training_log(folder),
        stages=stages,
        parameters=parameter_count(loaded.model),
        file_bytes=path.stat().st_size,
        threshold=threshold_for(loaded.model, threshold),
        trained_on=trained_on,
    )


def _subject(
    dataset: Dataset,
    detections: Mapping[str, Detections],
    name: str,
    setting: Mapping[str, str],
    trained_on: int | None = None,
    threshold: float = DEFAULT_THRESHOLD,
    **known: Any,
) -> Subject:
    truth, found = truth_table(dataset), detection_table(dataset, detections)
    return Subject(
        name=name,
        setting=setting,
        evaluation=replace(evaluate(dataset, detections), trained_on=trained_on),
        found=found,
        diagnosis=diagnose(truth, found),
        curves=precision_recall_curves(dataset.classes, truth, found),
        at_threshold=evaluate_at_threshold(dataset.classes, truth, found, threshold),
        **known,
    )
