"""Detection in many image files, end to end: resume, draw, and write JSON."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image as PillowImage

from frcnn_cli.engine.datasets.findings import act_on
from frcnn_cli.engine.detection.dataset import detection_identity
from frcnn_cli.engine.detection.image import threshold_for
from frcnn_cli.engine.detection.images import (
    DetectedFile,
    ImageDetections,
    collect_detections,
    detect_files,
    gather_detections,
    proposals_from,
)
from frcnn_cli.engine.detection.journal import Journal, resumed
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.results import write_coco_results
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.drawing.detections import annotated_image_path, draw_detections
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.proposals.image_match import source_findings
from frcnn_cli.engine.proposals.run import ImageFile
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import DetectSettings
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.base import Source
from frcnn_proposals.files import write_whole
from frcnn_proposals.images import MAX_PIXELS, read_image
from frcnn_proposals.sources.precomputed import Precomputed
from frcnn_proposals.sources.registry import make_source
from frcnn_proposals.store.provenance import Provenance


@dataclass(frozen=True)
class Detector:
    """A model, its detection settings, and the source of its proposals."""

    loaded: LoadedModel
    settings: DetectSettings
    source: Source


def make_detector(
    loaded: LoadedModel,
    options: DetectionOptions | None = None,
    proposals: Path | None = None,
    source: str | None = None,
) -> Detector:
    """Create a detector with proposals from a file, or computed by `source`.

    options: changes to the model's own settings. source: by default the one that the model
    was trained with. The scores of an SVM classifier are margins, so the stored threshold, a
    probability, does not apply: the default is then 0.
    """
    options = options or DetectionOptions()
    settings = options.applied_to(loaded.experiment.detect)
    is_svm = loaded.model.architecture.classifier == "svm"
    threshold = options.score_threshold if is_svm else settings.score_threshold
    settings = replace(settings, score_threshold=threshold_for(loaded.model, threshold))
    if proposals is not None:
        return Detector(loaded, settings, Precomputed(proposals))
    return Detector(loaded, settings, make_source(source or loaded.experiment.proposals.source))


def detect_in_files(
    detector: Detector,
    files: Sequence[ImageFile],
    json_path: Path | None = None,
    annotated_folder: Path | None = None,
    max_pixels: int = MAX_PIXELS,
    team: Team = ALONE,
    reporter: Reporter = SILENT,
) -> ImageDetections:
    """Detections in `files` (image id, path); each process of the team detects in its part.

    json_path: output file, in COCO results format. Until it is written, finished images are
    stored in a file next to it, so that the next call resumes an interrupted run. annotated_folder:
    folder for annotated images, as ID.jpg. A file that fails does not stop the others.
    """
    loaded = detector.loaded
    propose = proposals_from(detector.source)
    journal = None if json_path is None else _journal(detector, json_path, team)
    part = team.part(files)
    with resumed(journal, reporter), reporter.progress("Detecting", len(part)) as advance:
        model = prepare_model(loaded.model, loaded.precision)

        def finish(result: DetectedFile) -> None:
            if annotated_folder is not None and result.detections is not None:
                _write_annotated(
                    result, result.detections, loaded.classes, annotated_folder, max_pixels
                )
            advance(1, result.path.name)

        results = detect_files(model, part, propose, detector.settings, journal, max_pixels)
        detected = gather_detections(team, collect_detections(results, finish))
    if isinstance(detector.source, Precomputed) and team.is_first:
        others = source_findings(detector.source, detected.files)
        act_on(others, True, reporter)
    found = detected.detections
    in_order = {image_id: found[image_id] for image_id, _ in files if image_id in found}
    if json_path is not None and journal is not None:
        if team.is_first:
            write_coco_results(json_path, in_order, loaded.classes)
        journal.remove()
    return replace(detected, detections=in_order)


def _journal(detector: Detector, json_path: Path, team: Team) -> Journal:
    """The journal of this process, next to the file of the results."""
    proposals = Provenance.of(detector.source).fingerprint
    path = json_path.with_name(json_path.name + f"{team.label}.partial")
    return Journal(path, detection_identity(detector.loaded, detector.settings, proposals))


def _write_annotated(
    result: DetectedFile,
    detections: Detections,
    classes: tuple[str, ...],
    folder: Path,
    max_pixels: int,
) -> None:
    """Write an annotated image. If the detections come from a journal, keep an existing file."""
    path = annotated_image_path(folder, result.image_id)
    if result.image is None and path.exists():
        return
    image = read_image(result.path, max_pixels) if result.image is None else result.image
    buffer = io.BytesIO()
    annotated = PillowImage.fromarray(draw_detections(image, detections, classes))
    annotated.save(buffer, "JPEG", quality=92)
    write_whole(path, buffer.getvalue())
