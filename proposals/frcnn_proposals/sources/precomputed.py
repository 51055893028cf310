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
from frcnn_proposals.formats.ids import whole_number


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

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"file": self.file.name, "format": self.format}

    def propose(self, image: Image) -> Proposals:
        """Raises MisuseError, because the pixels do not identify the image in the file."""
        raise MisuseError("precomputed proposals are found by image id; use propose_for")

    def propose_for(self, image_id: str, size: tuple[int, int] | None = None) -> Proposals:
        """The file's boxes for an image. An id that the file stores as a whole number is found too.

        Raises InputError if there are none, or if one is outside `size` (width, height).
        """
        names = (image_id, str(whole_number(image_id)))
        found = next((self.proposals[name] for name in names if name in self.proposals), None)
        if found is None:
            raise InputError(f"{self.file}: has no boxes for image {image_id!r}")
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

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("file", "format", "version")}
