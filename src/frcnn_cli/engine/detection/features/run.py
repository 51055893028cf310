"""Features of regions in many image files, end to end: resume, and write the requested file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from frcnn_cli.engine.datasets.image_sizes import note_sixteen_bit
from frcnn_cli.engine.detection.features.extractor import Extractor
from frcnn_cli.engine.detection.features.files import (
    image_file,
    is_folder,
    write_image,
    write_images,
)
from frcnn_cli.engine.detection.features.regions import fields_of
from frcnn_cli.engine.detection.features.rows import FeatureJournal, Field, ImageRows
from frcnn_cli.engine.detection.images import (
    Compute,
    collect_results,
    gather_results,
    process_files,
)
from frcnn_cli.engine.detection.journal import resumed, waits_for_journal
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.run import warn_of_source
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.run import ImageFile
from frcnn_cli.engine.proposals.source_calls import SourceCalls
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.files import write_whole
from frcnn_proposals.images import MAX_PIXELS, ReducedImage


@dataclass(frozen=True)
class FeatureFile:
    """What was written. failures: a message for each image that is missing in it."""

    path: Path
    images: int
    boxes: int
    failures: tuple[str, ...]


def extract_in_files(
    extractor: Extractor,
    files: Sequence[ImageFile],
    out: Path,
    max_pixels: int = MAX_PIXELS,
    team: Team = ALONE,
    reporter: Reporter = SILENT,
) -> FeatureFile:
    """Write the features of the boxes in `files` (image id, path) to an .npz or .h5 file, or to a
    folder with one .npz file per image.

    Until then, finished images are stored next to it, so that the next call resumes an interrupted
    one. Each process of the team computes its part; the first one writes the file. An image that
    fails does not stop the others.
    """
    detector = extractor.detector
    note_sixteen_bit((path for _, path in files), reporter)
    loaded = detector.loaded
    fields = fields_of(loaded.model, extractor.settings, loaded.is_detector)
    classes = loaded.classes if loaded.is_detector else None
    propose = SourceCalls(detector.source)  # first: its errors leave no unfinished files
    if classes is not None and is_folder(out) and team.is_first:
        _start_folder(out, classes)
    journal = _journal(extractor, fields, out, team, reporter)
    finished = journal.finished()
    part = team.part(files, lambda file: file[0] in finished)
    with (
        closing(propose),
        resumed(journal, reporter),
        reporter.progress("Extracting features", len(part)) as advance,
    ):
        model = prepare_model(loaded.model, loaded.precision)
        results = process_files(
            _compute(extractor, model, fields, out, journal), part, propose, journal, max_pixels
        )
        own = collect_results(results, lambda result: advance(1, result.path.name))
        found = gather_results(team, own, [image_id for image_id, _ in files])
        if team.is_first and not is_folder(out):
            write_images(out, found.found, fields, classes)
    if team.is_first:
        warn_of_source(detector.source, found, reporter)
        journal.remove()
    boxes = sum(rows.count for rows in found.found.values())
    return FeatureFile(out, len(found.found), boxes, found.failures)


def _journal(
    extractor: Extractor, fields: Mapping[str, Field], out: Path, team: Team, reporter: Reporter
) -> FeatureJournal:
    """The journal of this process, next to the output."""
    identity = {**extractor.detector.identity, "features": asdict(extractor.settings)}
    rows = {} if is_folder(out) else fields
    path = out.with_name(f"{out.name}.partial")
    journal = FeatureJournal(path, identity, rows, waits_for_journal(reporter), team)
    if is_folder(out):
        journal.forget_unless(lambda image_id: image_file(out, image_id).is_file())
    return journal


def _compute(
    extractor: Extractor,
    model: FastRCNN,
    fields: Mapping[str, Field],
    out: Path,
    journal: FeatureJournal,
) -> Compute[ImageRows]:
    """The function that computes and writes the features of an image."""

    def compute(image_id: str, image: ReducedImage, proposals: Proposals) -> ImageRows:
        size = (image.width, image.height)
        count, blocks = extractor.blocks(model, image.pixels, proposals)
        if not is_folder(out):
            return journal.append(blocks, size)
        rows = ImageRows(0, count, *size, journal.path)
        write_image(image_file(out, image_id), image_id, rows, fields, blocks)
        return rows

    return compute


def _start_folder(folder: Path, classes: Sequence[str]) -> None:
    """Write classes.txt. Raises MisuseError if it lists other classes, which is not replaced."""
    path = folder / "classes.txt"
    content = "".join(f"{name}\n" for name in classes).encode()
    if path.exists() and path.read_bytes() != content:
        raise MisuseError(f"{path}: lists other classes than the model. Choose another folder.")
    write_whole(path, content)
