"""Read a proposal file of any format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from frcnn_proposals.base import Proposals
from frcnn_proposals.checks import check_proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.base import PerImageFormat
from frcnn_proposals.formats.content import Content, kind_of, load_content
from frcnn_proposals.formats.folder import FolderProposals, box_files, sample_reading
from frcnn_proposals.formats.ids import image_ids_of
from frcnn_proposals.formats.interpret import Hints, ImageSize, Reading, decide
from frcnn_proposals.formats.known import STORE, format_named
from frcnn_proposals.formats.layout import Order, from_layout
from frcnn_proposals.store.reader import open_store


@dataclass(frozen=True)
class ProposalFile:
    """A file that was read: its boxes by image id, the name of its format, and remarks."""

    path: Path
    format: str
    proposals: Mapping[str, Proposals]
    remarks: tuple[str, ...] = ()


def read_proposals(
    path: str | Path,
    format: str | None = None,
    *,
    order: Order | None = None,
    base: int | None = None,
    image_ids: Sequence[str] | None = None,
    size_of: ImageSize | None = None,
) -> Mapping[str, Proposals]:
    """Read the boxes of a proposal file, or of a folder of them, by image id.

    format, order, base: what the file does not state. Without them the file is read only if just
        one meaning is possible. image_ids: the images of the dataset, in its order. Formats
        without ids need them, and whole-number ids are mapped to them. size_of: returns the
        (width, height) of an image, to check its boxes.
    Ids in the file that are not in image_ids are kept: see matching.py.
    Raises InputError, which names the file, if it cannot be read, is ambiguous, or is invalid.
    """
    return open_proposals(path, Hints(format, order, base), image_ids, size_of).proposals


def open_proposals(
    path: str | Path,
    hints: Hints,
    image_ids: Sequence[str] | None = None,
    size_of: ImageSize | None = None,
) -> ProposalFile:
    """Like read_proposals, but also returns the format and remarks."""
    path = Path(path)
    kind = kind_of(path)
    if kind == STORE:
        if hints.format not in (None, STORE):
            format_named(hints.format or "")
            raise InputError(f"{path}: is a proposal store, not {hints.format}")
        return ProposalFile(path, STORE, open_store(path))
    if hints.format == STORE:
        raise InputError(f"{path}: is not a proposal store")
    if kind == "folder":
        return _open_folder(path, hints, image_ids, size_of)
    content = load_content(path)
    return _open_file(content, hints, image_ids, size_of)


def _open_file(
    content: Content, hints: Hints, image_ids: Sequence[str] | None, size_of: ImageSize | None
) -> ProposalFile:
    (reading,) = decide([content], hints, size_of)
    parsed = reading.parsed
    ids = image_ids_of(content.path, parsed.ids, len(parsed.boxes), image_ids)
    proposals = {
        image_id: _proposals(content.path, image_id, reading, index, size_of)
        for index, image_id in enumerate(ids)
    }
    return ProposalFile(content.path, reading.format.name, proposals, parsed.remarks)


def _proposals(
    path: Path, image_id: str, reading: Reading, index: int, size_of: ImageSize | None
) -> Proposals:
    parsed = reading.parsed
    boxes = from_layout(parsed.boxes[index], reading.layout)
    try:
        found = Proposals(boxes, None if parsed.scores is None else parsed.scores[index])
        size = None if size_of is None else size_of(image_id)
        check_proposals(found, *(size or (None, None)))
    except ValueError as error:
        raise InputError(f"{path}: image {image_id}: {error}") from error
    return found


def _open_folder(
    folder: Path, hints: Hints, image_ids: Sequence[str] | None, size_of: ImageSize | None
) -> ProposalFile:
    paths = box_files(folder)
    reading = sample_reading(paths, hints, size_of)
    assert isinstance(reading.format, PerImageFormat)
    names = [reading.format.id_of(path) for path in paths]
    ids = image_ids_of(folder, names, len(paths), image_ids)
    files = dict(zip(ids, paths, strict=True))
    return ProposalFile(folder, reading.format.name, FolderProposals(files, reading, size_of))
