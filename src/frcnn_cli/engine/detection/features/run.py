"""Features of regions in many image files, end to end: resume, and write the requested file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from frcnn_cli.engine.datasets.image_sizes import note_sixteen_bit
from frcnn_cli.engine.datasets.text_files import CLASSES_FILE
from frcnn_cli.engine.detection.features.extractor import Extractor
from frcnn_cli.engine.detection.features.files import (
    image_file,
    is_folder,
    write_image,
    write_images,
)
from frcnn_cli.engine.detection.features.regions import fields_of
from frcnn_cli.engine.detection.features.rows import Block, FeatureJournal, Field, ImageRows
from frcnn_cli.engine.detection.images import (
    Compute,
    collect_results,
    gather_results,
    process_files,
)
from frcnn_cli.engine.detection.journal import resumed, waits_for_journal
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.run import warn_of_source
from frcnn_cli.engine.distributed.streams import Streams
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.source_calls import SourceCalls
from frcnn_cli.engine.records import ImageFile
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import NO_ROOM, Error, InputError, MisuseError
from frcnn_proposals.files import write_whole
from frcnn_proposals.images import MAX_PIXELS, ReducedImage


@dataclass(frozen=True)
class FeatureFile:
    """The file that was written. It is not created if all images fail.

    failures: a message for each image that is missing in it.
    """

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
        _check_classes(out, classes)
    journal = _journal(extractor, fields, out, team, reporter)
    finished = journal.finished()
    part = team.part(files, lambda file: file[0] in finished)
    with (
        closing(propose),
        resumed(journal, reporter),
        reporter.progress("Extracting features", len(part)) as advance,
    ):
        model = prepare_model(loaded.model, loaded.precision)
        compute, store = _functions(extractor, model, fields, out, journal)
        streams = Streams.of(model.offset_means.device)
        results = process_files(compute, store, part, propose, streams, journal, max_pixels)
        own = collect_results(results, lambda result: advance(1, result.path.name))
        found = gather_results(team, own, [image_id for image_id, _ in files])
        is_needed = found.found or not found.failures
        if team.is_first and is_needed:
            if not is_folder(out):
                write_images(out, found.found, fields, classes)
            elif classes is not None:
                write_whole(out / CLASSES_FILE, _content(classes))
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


# Of an image: the number of boxes, their fields in blocks, and its size (width, height).
_Regions = tuple[int, Iterator[Block], tuple[int, int]]


def _functions(
    extractor: Extractor,
    model: FastRCNN,
    fields: Mapping[str, Field],
    out: Path,
    journal: FeatureJournal,
) -> tuple[Compute[_Regions], Callable[[str, _Regions], ImageRows]]:
    """The functions that select the boxes of an image, and that compute and write their features.

    Features are computed while they are written, so that memory holds one block of them. On a GPU,
    this is done in another stream than that of the feature maps. The maps are freed only after the
    last block is in memory, when this stream has read them.
    """

    def compute(_: str, image: ReducedImage, proposals: Proposals) -> _Regions:
        count, blocks = extractor.blocks(model, image.pixels, proposals)
        return count, blocks, (image.width, image.height)

    def store(image_id: str, regions: _Regions) -> ImageRows:
        count, blocks, size = regions
        if not is_folder(out):
            return journal.append(blocks, size)
        rows = ImageRows(0, count, *size, journal.path)
        try:
            write_image(image_file(out, image_id), image_id, rows, fields, blocks)
        except InputError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in NO_ROOM:
                # Not an InputError, which would only skip the image.
                raise Error(str(error)) from error
            raise
        return rows

    return compute, store


def _check_classes(folder: Path, classes: Sequence[str]) -> None:
    """Raise MisuseError if the folder has a list of other classes, which is not replaced."""
    path = folder / CLASSES_FILE
    if path.exists() and path.read_bytes() != _content(classes):
        raise MisuseError(f"{path}: lists other classes than the model. Choose another folder.")


def _content(classes: Sequence[str]) -> bytes:
    """The content of the list of classes."""
    return "".join(f"{name}\n" for name in classes).encode()
