"""Evaluate a model, or a file of detections, on a dataset, end to end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from frcnn_cli.engine.datasets.findings import act_on
from frcnn_cli.engine.detection.dataset import (
    detect_with_journal,
    detection_identity,
    readable_images,
)
from frcnn_cli.engine.detection.results import write_coco_results
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.evaluation.detection_checks import class_findings
from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.evaluation.images import open_images, open_split
from frcnn_cli.engine.evaluation.scores import Evaluation, evaluate
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.models.seen_images import seen_images, warn_early
from frcnn_cli.engine.parts.files import PartFormat
from frcnn_cli.engine.parts.folder import About, open_folder
from frcnn_cli.engine.parts.rows import Item, Row
from frcnn_cli.engine.parts.run import PartsResult, errors_of
from frcnn_cli.engine.parts.shard import Shard
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings.options import DataOptions, DetectionOptions


def evaluate_model(
    loaded: LoadedModel,
    data: DataOptions | None = None,
    detection: DetectionOptions | None = None,
    detections_file: Path | None = None,
    coco: bool = True,
    team: Team = ALONE,
    reporter: Reporter = SILENT,
) -> Evaluation | None:
    """Evaluate a model, by default on its own dataset.

    Detections are stored in the cache until the evaluation ends, so that the next call resumes
    an interrupted one. detections_file: output file for the detections, as COCO results. coco:
    whether to compute the COCO metrics. Images that cannot be read are skipped. Returns None in
    all processes of a team except the first.
    """
    data = data or DataOptions()
    images = open_images(loaded, data, team=team, reporter=reporter)
    warned = warn_early(loaded, images.dataset, images.digests, reporter)
    settings = (detection or DetectionOptions()).for_evaluation(
        loaded.experiment.detect, loaded.model.architecture
    )
    detected = detect_with_journal(loaded, images, settings, team, reporter)
    if not team.is_first:
        return None
    if detections_file is not None:
        write_coco_results(detections_file, detected.detections, images.dataset.classes)
        reporter.note(f"Detections: {detections_file}")
    dataset = readable_images(images.dataset, [detected.detections])
    seen = seen_images(
        loaded, dataset, detected.digests, data.data_root, SILENT if warned else reporter
    )
    evaluation = replace(evaluate(dataset, detected.detections, coco), trained_on=seen)
    detected.journal.remove()
    return evaluation


def detect_for_evaluation(
    loaded: LoadedModel,
    data: DataOptions,
    detection: DetectionOptions,
    folder: Path,
    format: PartFormat,
    size: int,
    shard: Shard | None = None,
    reporter: Reporter = SILENT,
) -> PartsResult:
    """Detect as evaluate_model does, and write the detections in parts for evaluate_file.

    shard: use only these images. Images that cannot be read have a row with an error.
    """
    images = open_images(loaded, data, reporter=reporter, shard=shard)
    settings = detection.for_evaluation(loaded.experiment.detect, loaded.model.architecture)
    identity = detection_identity(loaded, settings, images.fingerprint)
    parts = open_folder(
        folder,
        About("detections", identity, loaded.classes),
        [Item(record.image_id, record.path) for record in images.dataset.images],
        format,
        shard,
        size,
    )
    result = PartsResult(folder, reused=sum(map(parts.is_finished, parts.parts)))
    if result.reused == len(parts.parts):
        return result
    detected = detect_with_journal(loaded, images, settings, reporter=reporter)
    for part in parts.parts:
        found = ((item, detected.detections.get(item.name)) for item in part.items)
        rows = [
            Row(item.name, error=f"{item.image}: cannot be read")
            if one is None
            else Row(item.name, one.boxes, one.scores, one.labels)
            for item, one in found
        ]
        if not parts.is_finished(part):
            parts.write(part, rows)
            result = result.with_part(len(rows), errors_of(rows), {})
    parts.remove_unfinished(parts.parts)
    detected.journal.remove()
    return result


def evaluate_file(
    path: Path,
    dataset: str,
    split: str | None = None,
    data_root: Path | None = None,
    allow_mismatch: bool = False,
    coco: bool = True,
    reporter: Reporter = SILENT,
) -> Evaluation:
    """Evaluate a file of detections: COCO results JSON, parts, or VOC devkit text files.

    The image files of the dataset may be missing. split: by default test if it is annotated,
    else val. coco: whether to compute the COCO metrics.
    """
    opened = open_split(
        dataset,
        split,
        data_root,
        allow_mismatch=allow_mismatch,
        needs_images=False,
        reporter=reporter,
    )
    evaluation = evaluate(opened, read_detections(path, opened, reporter), coco)
    act_on(class_findings(path, evaluation.errors), True, reporter)
    return evaluation
