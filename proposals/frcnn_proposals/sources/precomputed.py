"""A source that reads precomputed boxes from a file, by image id."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.checks import check_proposals
from frcnn_proposals.digest import proposal_digest
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.formats import read_proposals
from frcnn_proposals.formats.content import kind_of
from frcnn_proposals.formats.ids import names_by_end, whole_number
from frcnn_proposals.formats.known import STATED
from frcnn_proposals.formats.read import RecordedProposals, open_stated
from frcnn_proposals.store.provenance import COPIED

# Version 2: the maximum corners of MMDetection are one past the last pixel.
_OF_PICKLES = "-2"


class Precomputed:
    """Boxes from a proposal file, which are found by image id instead of computed from pixels.

    file: a file or folder in any format that read_proposals supports. format: the name of the
        format, needed if it cannot be determined from the file.
    Raises InputError if the file cannot be read.
    """

    name = "precomputed"
    thread_safe = True

    def __init__(self, file: str | Path, format: str | None = None) -> None:
        self.file = Path(file)
        self.format = format
        self.version = proposal_digest(self.file)
        kind = kind_of(self.file)
        if kind == "pickle":
            self.version += _OF_PICKLES
        self.sources = open_stated(self.file).provenance.sources if kind in STATED else ()

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The file's name and format, and the sources of its boxes if the file states them."""
        stated = {COPIED: list(self.sources)} if self.sources else {}
        return {"file": self.file.name, "format": self.format, **stated}

    def propose(self, image: Image) -> Proposals:
        """Raises MisuseError, because the pixels do not identify the image in the file."""
        raise MisuseError("precomputed proposals are found by image id; use propose_for")

    def propose_for(self, image_id: str, size: tuple[int, int] | None = None) -> Proposals:
        """The file's boxes for an image.

        An id is also found if the file stores it as a whole number, or with more folders in front.
        Raises InputError if there are none, or if one is outside `size` (width, height).
        """
        name = self._name_of(image_id)
        if name is None:
            other = next(iter(self.proposals), None)
            hint = "" if other is None else f"; it has boxes for {other!r}"
            raise InputError(f"{self.file}: has no boxes for image {image_id!r}{hint}")
        found = self.proposals[name]
        try:
            check_proposals(found, *(size or (None, None)))
        except ValueError as error:
            raise InputError(f"{self.file}: image {image_id!r}: {error}") from error
        return found

    def load(self) -> None:
        """Read the file now instead of at the first image. Raises InputError if this fails."""
        _ = self.proposals

    @cached_property
    def proposals(self) -> Mapping[str, Proposals]:
        """The boxes of the file by image id; read when they are first needed."""
        return read_proposals(self.file, format=self.format)

    @cached_property
    def _by_end(self) -> Mapping[str, str]:
        # The ids of a store or of parts are those of their images.
        known = isinstance(self.proposals, RecordedProposals)
        return {} if known else names_by_end(self.proposals)

    def _name_of(self, image_id: str) -> str | None:
        if image_id in self.proposals:
            return image_id
        number = whole_number(image_id)
        if number is not None and str(number) in self.proposals:
            return str(number)
        return self._by_end.get(image_id)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("file", "format", "version", "sources")}
