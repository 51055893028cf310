"""Detection in many image files, end to end: resume, and write the requested outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from frcnn_cli.engine.datasets.findings import act_on
from frcnn_cli.engine.datasets.image_sizes import note_sixteen_bit
from frcnn_cli.engine.detection.dataset import detection_identity
from frcnn_cli.engine.detection.image import settings_for
from frcnn_cli.engine.detection.images import (
    DetectedFile,
    ImageDetections,
    ImageResults,
    collect_results,
    detect_files,
    gather_results,
)
from frcnn_cli.engine.detection.journal import Journal, resumed, waits_for_journal
from frcnn_cli.engine.detection.outputs import DetectionOutputs
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.reduction import reduction_for
from frcnn_cli.engine.detection.results import write_coco_results
from frcnn_cli.engine.detection.texts import start_yolo_folder, write_csv
from frcnn_cli.engine.detection.tiles import propose_in_tiles, warn_of_small_images
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.drawing.fonts import warn_of_missing_letters
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.proposals.image_match import source_findings
from frcnn_cli.engine.proposals.source_calls import SourceCalls, clipped_message, source_of
from frcnn_cli.engine.records import Detections, ImageFile
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import DetectSettings, TileSettings
from frcnn_cli.engine.settings.options import DetectionOptions, reject_file_with_source
from frcnn_proposals.base import Source, is_per_stream
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.images import MAX_PIXELS, Reduction, read_image, unreduced
from frcnn_proposals.sources.precomputed import Precomputed
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.suggestions import did_you_mean


@dataclass(frozen=True)
class Detector:
    """A model, its detection settings, and the source of its proposals.

    labels: labels of the classes to return and write; None for all. tiles: None detects in the
    whole image only.
    """

    loaded: LoadedModel
    settings: DetectSettings
    source: Source
    labels: tuple[int, ...] | None = None
    tiles: TileSettings | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes to return."""
        names = self.loaded.classes
        return names if self.labels is None else tuple(names[label - 1] for label in self.labels)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything except the images that detections depend on, for journals and parts."""
        proposals = Provenance.of(self.source).fingerprint
        # None is compared too: a journal with tiles has a value, an older one has none.
        tiles = None if self.tiles is None else asdict(self.tiles)
        return {**detection_identity(self.loaded, self.settings, proposals), "tiles": tiles}

    @property
    def reduction(self) -> Reduction:
        """The size at which to decode JPEG files; for tiles, the full size."""
        if self.tiles is not None:
            return unreduced
        return reduction_for(
            self.loaded.model.architecture.preprocessing, self.settings, self.source
        )

    def selected(self, detections: Detections) -> Detections:
        """The detections of the selected classes."""
        if self.labels is None:
            return detections
        return replace(detections.with_labels(self.labels), best_rejected=None)


def make_detector(
    loaded: LoadedModel,
    options: DetectionOptions | None = None,
    proposals: Path | None = None,
    source: str | None = None,
    classes: Sequence[str] | None = None,
    parameters: tuple[str, ...] = (),
) -> Detector:
    """Create a detector with proposals from a file, or computed by `source`.

    options: changes to the model's own settings. source: by default the one that the model
    was trained with. parameters: of the source, as NAME=VALUE; without `source`, changes to those
    of the model's source. classes: names of the classes to return; None for all.
    """
    reject_file_with_source(proposals, source, parameters)
    tiles = None if options is None else options.tiles
    settings = settings_for(loaded.model, loaded.experiment.detect, options)
    labels = None if classes is None else find_labels(classes, loaded.classes)
    if proposals is not None:
        return Detector(loaded, settings, Precomputed(proposals), labels, tiles)
    chosen = loaded.experiment.proposals.with_source(source, parameters)
    made = source_of(chosen)
    if tiles is not None and is_per_stream(made):
        raise MisuseError(
            f"Source {made.name!r} uses earlier frames, and cannot be used in tiles.\n"
            "Choose another --source, or detect without --tile."
        )
    return Detector(loaded, settings, made, labels, tiles)


def find_labels(names: Iterable[str], classes: Sequence[str]) -> tuple[int, ...]:
    """The labels 1..K of the named classes.

    Raises MisuseError for an unknown name, with the closest one.
    """
    labels = []
    for name in names:
        if name not in classes:
            hint = did_you_mean(name, classes)
            raise MisuseError(f"The model has no class '{name}'. {hint}")
        labels.append(classes.index(name) + 1)
    return tuple(labels)


def detect_in_files(
    detector: Detector,
    files: Sequence[ImageFile],
    outputs: DetectionOutputs | None = None,
    max_pixels: int = MAX_PIXELS,
    team: Team = ALONE,
    reporter: Reporter = SILENT,
    resumable: bool = True,
) -> ImageDetections:
    """Detections in `files` (image id, path); each process of the team detects in its part.

    outputs: what to write, by default nothing. resumable: until the JSON file is written, store
    finished images in a file next to it, so that the next call resumes an interrupted run. A file
    that fails does not stop the others.
    """
    outputs = outputs or DetectionOutputs()
    loaded, json_path = detector.loaded, outputs.json_path
    propose = SourceCalls(detector.source)
    if outputs.yolo is not None:
        start_yolo_folder(outputs.yolo, [image_id for image_id, _ in files], loaded.classes)
    journal = None
    if json_path is not None and resumable:
        journal = _journal(detector, json_path, team, reporter)
    finished: frozenset[str] = frozenset() if journal is None else journal.finished()
    part = team.part(files, lambda file: file[0] in finished)
    note_sixteen_bit((path for _, path in files), reporter)
    if outputs.annotated is not None:
        warn_of_missing_letters(reporter, loaded.classes)
    with (
        closing(propose),
        resumed(journal, reporter),
        reporter.progress("Detecting", len(part)) as advance,
    ):
        model = prepare_model(loaded.model, loaded.precision)

        def finish(result: DetectedFile) -> None:
            if outputs.need_pixels and result.found is not None:
                # Outputs of images in the journal may be missing or older: write them again. All
                # outputs show the image at its full size.
                image = (
                    read_image(result.path, max_pixels) if result.image is None else result.image
                )
                selected = detector.selected(result.found)
                outputs.write_image(result.image_id, image, selected, loaded.classes)
            advance(1, result.path.name)

        results = detect_files(
            model,
            part,
            propose_in_tiles(propose, detector.tiles),
            detector.settings,
            journal,
            max_pixels,
            detector.reduction,
        )
        ids = [image_id for image_id, _ in files]
        detected = gather_results(team, collect_results(results, finish), ids)
    if team.is_first:
        warn_of_source(detector.source, detected, reporter)
        sizes = [file.size for file in detected.files.values() if file.size is not None]
        warn_of_small_images(detector.tiles, sizes, reporter)
    found = detected.found
    in_order = {
        image_id: detector.selected(found[image_id]) for image_id, _ in files if image_id in found
    }
    if team.is_first:
        if json_path is not None:
            write_coco_results(json_path, in_order, loaded.classes)
        if outputs.csv_path is not None:
            write_csv(outputs.csv_path, in_order, loaded.classes)
        if journal is not None:
            journal.remove()
    return replace(detected, found=in_order)


def warn_of_source(source: Source, results: ImageResults[Any], reporter: Reporter) -> None:
    """Report images that are not those of the proposals, and boxes that were clipped."""
    if isinstance(source, Precomputed):
        act_on(source_findings(source, results.files), True, reporter)
    if results.clipped:
        reporter.warn(clipped_message(source.name, results.clipped))


def _journal(detector: Detector, json_path: Path, team: Team, reporter: Reporter) -> Journal:
    """The journal, next to the file of the results."""
    path = json_path.with_name(f"{json_path.name}.partial")
    return Journal(path, detector.identity, waits_for_journal(reporter), team)
