"""The proposals in a folder of parts, as one source of boxes by image id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from frcnn_proposals.base import Proposals
from frcnn_proposals.checks import check_proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.parts.about import About, parts_of
from frcnn_proposals.formats.parts.files import (
    ROW_BITS,
    damaged,
    read_block,
    read_places,
    repeated,
)
from frcnn_proposals.formats.parts.row import Row
from frcnn_proposals.store.provenance import Provenance

_BLOCKS = 16  # kept in memory, as the next image is often in one; in Parquet, about 1 MB each
_BLOCK_BITS = 44


class PartsProposals(Mapping[str, Proposals]):
    """The proposals of many images, by image id. Boxes are read when an image is requested.

    Memory holds the ids, and the place of each (0.2 KB per image). Images that failed have no
    boxes. Raises InputError for a folder of detections, a part that cannot be read or is of
    another source, and an id in two rows; for damaged boxes, when they are requested. It can be
    pickled and used from any process or thread.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        about = About.read(self.path)
        if about.content != "proposals":
            raise InputError(f"{self.path}: contains parts of {about.content}, not of proposals.")
        self.provenance = _provenance(self.path, about.identity)
        self._files = parts_of(self.path, about)
        self._places: dict[str, int] = {}
        self._failed: dict[str, int] = {}
        for number, file in enumerate(self._files):
            for image_id, (block, row), has_boxes in read_places(file):
                self._check_new(image_id, file)
                places = self._places if has_boxes else self._failed
                # One number takes a third of the memory of a tuple.
                places[image_id] = ((number << _BLOCK_BITS | block) << ROW_BITS) | row
        self._block = lru_cache(_BLOCKS)(read_block)

    def __getitem__(self, image_id: str) -> Proposals:
        """The boxes of an image, best first.

        Raises KeyError for an image without boxes, and InputError for a damaged or changed part.
        """
        file, row = self._row(image_id, self._places[image_id])
        try:
            proposals = Proposals(row.boxes, row.scores)  # type: ignore[arg-type]
            check_proposals(proposals, None, None)
        except (TypeError, ValueError) as error:
            raise InputError(f"{file}: image {image_id!r}: {error}") from error
        return proposals.top(None)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def failures(self) -> Iterator[tuple[str, str]]:
        """(id, reason) of the images without boxes. Raises InputError for a changed part."""
        for image_id, place in self._failed.items():
            yield image_id, str(self._row(image_id, place)[1].error)

    def __reduce__(self) -> tuple[Any, ...]:
        return PartsProposals, (self.path,)

    def _check_new(self, image_id: str, file: Path) -> None:
        earlier = self._places.get(image_id, self._failed.get(image_id))
        if earlier is not None:
            other = self._files[earlier >> _BLOCK_BITS + ROW_BITS]
            raise repeated(self.path, image_id, other.name, file.name)

    def _row(self, image_id: str, place: int) -> tuple[Path, Row]:
        """The row, and its file."""
        block, number = place >> ROW_BITS, place & (1 << ROW_BITS) - 1
        file = self._files[block >> _BLOCK_BITS]
        rows = self._block(file, block & (1 << _BLOCK_BITS) - 1)
        if not number < len(rows) or rows[number].image_id != image_id:
            raise damaged(file, "it was changed after it was opened")
        return file, rows[number]


def _provenance(path: Path, identity: Mapping[str, Any]) -> Provenance:
    try:
        return Provenance(identity["source"], identity["version"], dict(identity["parameters"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: does not describe the source of its proposals.") from error
