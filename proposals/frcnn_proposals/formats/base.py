"""Interfaces of the formats, and the content that they parse and write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Protocol, runtime_checkable

from numpy.typing import NDArray

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout


@dataclass(frozen=True)
class Parsed:
    """The tables of a file, in the file's own columns and base.

    boxes: one (N, 4) table per image. scores: one (N,) row per image; None without scores.
    ids: the images, as the file names them: see ids.py. Whole numbers mean names without
        separators and leading zeros. None if the tables are in the order of an image list that is
        not in the file.
    rooted: whether paths among the ids are below the folder of the images. Otherwise they can have
        more folders in front.
    layout: the layout of the boxes, if the file states it.
    remarks: notes for the user, one line each.
    """

    boxes: Sequence[NDArray[Any]]
    scores: Sequence[NDArray[Any]] | None = None
    ids: Sequence[str | int] | None = None
    layout: BoxLayout | None = None
    remarks: tuple[str, ...] = ()
    rooted: bool = True


class Format(Protocol):
    """A file format that can be read.

    layouts: the possible layouts of its boxes; several if files differ and do not state theirs.
    """

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def layouts(self) -> tuple[BoxLayout, ...]: ...

    def parse(self, content: Content) -> Parsed | None:
        """The content of the file, or None if the file does not have this format's structure."""
        ...


@runtime_checkable
class PerImageFormat(Protocol):
    """A format with one file per image, named by the image id."""

    def id_of(self, path: PurePath) -> str:
        """The id in the path of a file below the folder of all files."""
        return path.with_suffix("").as_posix()


@dataclass(frozen=True)
class ToWrite:
    """The input of a writer: the ids in the order of writing, and the boxes by id.

    paths: the image files, for formats that need them.
    """

    ids: Sequence[str]
    proposals: Mapping[str, Proposals]
    paths: Mapping[str, Path] | None = None

    @property
    def entries(self) -> list[Proposals]:
        """The boxes in the order of the ids."""
        return [self.proposals[image_id] for image_id in self.ids]

    def path_of(self, image_id: str, use: str) -> Path:
        """The image's file. Raises MisuseError, which begins with `use`, if it is not known."""
        path = (self.paths or {}).get(image_id)
        if path is None:
            raise MisuseError(
                f"{use}; give the folder of the images with --images ({image_id!r} has no file)"
            )
        return path


class WritableFormat(Format, Protocol):
    """A format that can also be written."""

    @property
    def needs_order(self) -> bool:
        """Whether images are identified by order, so that writing needs the image list."""
        return False

    def write(self, content: ToWrite, file: BinaryIO) -> None:
        """Write the complete file. Raises MisuseError if the format cannot hold the content."""
        ...
