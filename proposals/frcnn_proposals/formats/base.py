"""What a format says of itself, and what it finds in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

from numpy.typing import NDArray

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout


@dataclass(frozen=True)
class Parsed:
    """The tables of a file, in the file's own columns and base.

    boxes: one (N, 4) table an image. scores: one (N,) row an image, None where there are none.
    ids: the images' ids; whole numbers stand for names without their separators and leading
        zeros; None where the tables are in the order of an image list that the file lacks.
    layout: the file's own word on how boxes are written, where it has one.
    remarks: what a person should know, a line each.
    """

    boxes: Sequence[NDArray[Any]]
    scores: Sequence[NDArray[Any]] | None = None
    ids: Sequence[str | int] | None = None
    layout: BoxLayout | None = None
    remarks: tuple[str, ...] = ()


class Format(Protocol):
    """A file format that can be read. layouts: how its boxes may be written, several where
    files differ and do not say.
    """

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def layouts(self) -> tuple[BoxLayout, ...]: ...

    def parse(self, content: Content) -> Parsed | None:
        """What the file holds, or None if it is not built like this format's."""
        ...


@runtime_checkable
class PerImageFormat(Protocol):
    """A format with a file for each image, named by its id."""

    def id_of(self, path: Path) -> str:
        return path.stem


@dataclass(frozen=True)
class ToWrite:
    """What a writer is given: the ids in the order to write them in, and the boxes by id.

    paths: the images' files, for formats that are keyed by path.
    """

    ids: Sequence[str]
    proposals: Mapping[str, Proposals]
    paths: Mapping[str, Path] | None = None

    @property
    def entries(self) -> list[Proposals]:
        """The boxes in the order of the ids."""
        return [self.proposals[image_id] for image_id in self.ids]

    def path_of(self, image_id: str, use: str) -> Path:
        """The image's file. Raises MisuseError, with its `use`, where it is not given."""
        path = (self.paths or {}).get(image_id)
        if path is None:
            raise MisuseError(
                f"{use}; name the folder of the images with --images ({image_id!r} has none)"
            )
        return path


class WritableFormat(Format, Protocol):
    """A format that can be written too."""

    @property
    def needs_order(self) -> bool:
        """Whether it is keyed by order, so that the image list must be given."""
        return False

    def write(self, content: ToWrite, file: BinaryIO) -> None:
        """Write the whole file. Raises MisuseError where the format cannot hold the content."""
        ...
