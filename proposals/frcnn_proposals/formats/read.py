"""Read a proposal file of any format."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.base import PerImageFormat
from frcnn_proposals.formats.content import Content, kind_of, load_content
from frcnn_proposals.formats.folder import FolderProposals, box_files, proposals_of, sample_reading
from frcnn_proposals.formats.ids import (
    Images,
    ImageSize,
    checked_ids,
    image_ids_of,
    matched_ids,
)
from frcnn_proposals.formats.interpret import Hints, decide
from frcnn_proposals.formats.known import STATED, format_named
from frcnn_proposals.formats.layout import Corners, Order
from frcnn_proposals.formats.parts.proposals import PartsProposals
from frcnn_proposals.store.reader import ProposalStore, open_store

# Proposals that record their source.
RecordedProposals = ProposalStore | PartsProposals


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
    corners: Corners | None = None,
    image_ids: Sequence[str] | None = None,
    size_of: ImageSize | None = None,
) -> Mapping[str, Proposals]:
    """Read the boxes of a proposal file, or of a folder of them, by image id.

    format, order, base, corners: what the file does not state. Without them the file is read
        only if just one meaning is possible. image_ids: the images of the dataset, in its order.
        Formats without ids need them, and ids in the file are mapped to them. size_of: returns
        the (width, height) of an image, to check its boxes.
    Boxes with scores are sorted, best first. Ids in the file that are not in image_ids are kept:
    see matching.py.
    Raises InputError, which names the file, if it cannot be read, is ambiguous, or is invalid.
    """
    hints = Hints(format, order, base, corners)
    return open_proposals(path, hints, image_ids, size_of).proposals


def open_proposals(
    path: str | Path,
    hints: Hints,
    image_ids: Collection[str] | None = None,
    size_of: ImageSize | None = None,
) -> ProposalFile:
    """Like read_proposals, but also returns the format and remarks.

    image_ids: a set if the order of the images is not known.
    """
    path = Path(path)
    images = Images(image_ids, size_of)
    kind = kind_of(path)
    if hints.format in STATED and hints.format != kind:
        raise InputError(f"{path}: is not {STATED[hints.format]}")
    if kind in STATED:
        if hints.format not in (None, kind):
            format_named(hints.format or "")
            raise InputError(f"{path}: is {STATED[kind]}, not {hints.format}")
        return ProposalFile(path, kind, open_stated(path))
    if kind == "folder":
        return _open_folder(path, hints, images)
    return _open_file(load_content(path), hints, images)


def open_stated(path: Path) -> RecordedProposals:
    """The store at `path`, or the parts in this folder. Raises InputError if it is invalid."""
    return PartsProposals(path) if path.is_dir() else open_store(path)


def _open_file(content: Content, hints: Hints, images: Images) -> ProposalFile:
    (reading,) = decide([content], hints, images)
    parsed = reading.parsed
    proposals = {
        image_id: proposals_of(content.path, image_id, parsed, reading.layout, images, index)
        for index, image_id in enumerate(image_ids_of(content.path, parsed, images))
    }
    return ProposalFile(content.path, reading.format.name, proposals, parsed.remarks)


def _open_folder(folder: Path, hints: Hints, images: Images) -> ProposalFile:
    paths = box_files(folder)
    reading = sample_reading(folder, paths, hints, images)
    assert isinstance(reading.format, PerImageFormat)
    names = [reading.format.id_of(path.relative_to(folder)) for path in paths]
    ids = checked_ids(folder, matched_ids(names, images.ids))
    files = dict(zip(ids, paths, strict=True))
    return ProposalFile(folder, reading.format.name, FolderProposals(files, reading, images))
