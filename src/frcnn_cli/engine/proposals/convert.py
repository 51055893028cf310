"""Conversion of a proposal file: read it, match it with its images, write it."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from frcnn_cli.engine.datasets.inputs import image_files, read_image_set, sizes_of
from frcnn_proposals.base import Proposals
from frcnn_proposals.checks import check_proposals
from frcnn_proposals.digest import proposal_digest
from frcnn_proposals.errors import InputError
from frcnn_proposals.files import reject_same_file
from frcnn_proposals.formats.ids import ImageSize
from frcnn_proposals.formats.interpret import Hints
from frcnn_proposals.formats.known import STORE, writable_named
from frcnn_proposals.formats.read import ProposalFile, RecordedProposals, open_proposals
from frcnn_proposals.formats.write import write_proposals
from frcnn_proposals.image_ids import IdMatch, match_ids
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.schema import check_store_name

_NO_BOXES = Proposals(np.zeros((0, 4), np.float32))


@dataclass(frozen=True)
class Conversion:
    """How to convert a proposal file.

    to: name of the output format. hints: details that the input file does not contain.
    image_set: file with the image ids in order. images: folder of the images. allow_mismatch:
    accept images of the set without proposals, and proposals without an image.
    """

    to: str = STORE
    hints: Hints | None = None
    image_set: Path | None = None
    images: Path | None = None
    allow_mismatch: bool = False


@dataclass(frozen=True)
class Converted:
    """The input format, the number of images, and remarks on what the output does not contain."""

    format: str
    images: int
    remarks: tuple[str, ...]


def convert_proposals(file: Path, out: Path, conversion: Conversion) -> Converted:
    """Write the proposals of `file` to `out`.

    Raises InputError if the file cannot be read or does not match the images, MisuseError if
    the output format requires something that is missing in `conversion`, or if a store would
    have the suffix of another format.
    """
    reject_same_file(file, out)
    if conversion.to == STORE:
        check_store_name(out)
    ids = None if conversion.image_set is None else read_image_set(conversion.image_set)
    files = None if conversion.images is None else image_files(conversion.images)
    size_of = None if files is None else sizes_of(files)
    # The order of the files in a folder is not that of the images in a file without ids.
    known_ids = files.keys() if ids is None and files is not None else ids
    source = open_proposals(file, conversion.hints or Hints(), known_ids, size_of)
    proposals = source.proposals
    remarks = list(source.remarks)
    for match in _matches(proposals, ids, files):
        if not conversion.allow_mismatch:
            match.reject_mismatch(str(file), "To convert it anyway, use --allow-mismatch.")
        remarks += [match.describe()] * (not match.is_exact)
    if ids is not None and not any(image_id in proposals for image_id in ids):
        raise InputError(f"{file}: has no proposals for any image of {conversion.image_set}.")
    if size_of is not None and isinstance(proposals, RecordedProposals):
        _check_boxes(proposals, size_of)
    if ids is not None and _is_ordered(conversion.to):
        # An image without proposals still needs its place in the order.
        missing = [image_id for image_id in ids if image_id not in proposals]
        proposals = ChainMap(dict.fromkeys(missing, _NO_BOXES), cast(Any, proposals))
    elif ids is not None:
        ids = [image_id for image_id in ids if image_id in proposals]
    images = write_proposals(
        out,
        proposals,
        conversion.to,
        image_ids=ids,
        image_paths=files,
        provenance=_provenance(source),
    )
    return Converted(source.format, images, (*remarks, *_losses(conversion.to, proposals)))


def _matches(
    proposals: Mapping[str, Proposals],
    ids: Sequence[str] | None,
    files: Mapping[str, Path] | None,
) -> Iterator[IdMatch]:
    """The proposals compared with the image set, and with the image files.

    The folder of the files can contain other images too, so those without proposals do not count.
    """
    if ids is not None:
        yield match_ids(proposals, ids)
    if files is not None:
        yield replace(match_ids(proposals, list(files)), missing=())


def _check_boxes(store: RecordedProposals, size_of: ImageSize) -> None:
    """Raise InputError for a box outside its image; other files are checked when they are read."""
    for image_id, entry in store.items():
        try:
            check_proposals(entry, *(size_of(image_id) or (None, None)))
        except ValueError as error:
            raise InputError(f"{store.path}: image {image_id}: {error}") from error


def _is_ordered(format: str) -> bool:
    return format != STORE and writable_named(format).needs_order


def _losses(to: str, proposals: Mapping[str, Proposals]) -> tuple[str, ...]:
    if to == "fast-rcnn-mat" and any(entry.scores is not None for entry in proposals.values()):
        return ("fast-rcnn-mat cannot store scores: they are not written",)
    return ()


def _provenance(source: ProposalFile) -> Provenance:
    if isinstance(source.proposals, RecordedProposals):
        return source.proposals.provenance
    parameters = {"file": source.path.name, "sha256": proposal_digest(source.path)}
    return Provenance(f"converted from {source.format}", parameters=parameters)
