"""Evaluate a model, or a file of detections, on a dataset, end to end."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from frcnn_cli.engine.datasets.findings import act_on
from frcnn_cli.engine.detection.dataset import (
    DatasetRows,
    detect_with_journal,
    detection_identity,
    readable_images,
)
from frcnn_cli.engine.detection.results import write_coco_results
from frcnn_cli.engine.distributed.shard import Shard
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.evaluation.detection_checks import class_findings
from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.evaluation.images import open_images, open_shard, open_split
from frcnn_cli.engine.evaluation.scores import Evaluation, evaluate
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.models.seen_images import seen_images, warn_early
from frcnn_cli.engine.parts.folder import open_folder
from frcnn_cli.engine.parts.result import PartsResult
from frcnn_cli.engine.parts.rows import Item
from frcnn_cli.engine.parts.run import PartsOptions, write_parts
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings.options import DataOptions, DetectionOptions
from frcnn_proposals.formats.parts.about import About


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
    options: PartsOptions,
    shard: Shard | None = None,
    team: Team = ALONE,
    reporter: Reporter = SILENT,
) -> PartsResult:
    """Detect as evaluate_model does, and write the detections in parts for evaluate_file.

    options: the folder, its format and the size of its parts. shard: use only these images. Each
    process of the team writes its share of the missing parts; all of them return the result of all
    parts. An image that cannot be read has a row with the error. Proposals that are not in the
    cache are computed with the detections, and not stored. Raises the errors of open_images and
    open_folder.
    """
    images = open_shard(loaded, data, shard, team, reporter)
    settings = detection.for_evaluation(loaded.experiment.detect, loaded.model.architecture)
    identity = detection_identity(loaded, settings, images.fingerprint)
    about = About("detections", identity, loaded.classes)
    items = [Item(record.image_id, str(record.path)) for record in images.dataset.images]
    assert options.parts is not None
    parts = open_folder(options.parts, about, items, options.format, shard, options.size)
    function = DatasetRows(loaded, settings, images)
    with closing(images):
        result = write_parts(function, parts, "Detecting", team, reporter)
    function.warn(team, reporter)
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
