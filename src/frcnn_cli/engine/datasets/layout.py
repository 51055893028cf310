"""What every data set layout offers, and how its faults are reported while it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from frcnn_cli.engine.records import Dataset
from frcnn_proposals.errors import InputError

# A corner this far outside its image is moved to the border: published annotations have such
# off-by-one corners (VOC2012 has boxes that begin at 0 where 1 is the first pixel).
BORDER_TOLERANCE = 1.0
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")


@dataclass(frozen=True)
class Fault:
    """Something wrong in a data set's files.

    tolerated: the reader knows a safe reading (a corner one pixel outside is moved in);
        otherwise the object or the image cannot be used.
    """

    path: Path
    message: str
    tolerated: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


Report = Callable[[Fault], None]


def refuse(fault: Fault) -> None:
    """The report of ordinary reading: the first fault that is not tolerated is an InputError."""
    if not fault.tolerated:
        raise InputError(
            f"{fault}\nCorrect the file; `frcnn data check` lists every fault of a data set."
        )


class Layout(Protocol):
    """A data set on disk, found but not yet read."""

    @property
    def root(self) -> Path:
        """The folder or file that it was found at."""
        ...

    @property
    def kind(self) -> str:
        """The layout's name for people: 'VOC', 'COCO json', ..."""
        ...

    def splits(self) -> Mapping[str, bool]:
        """The splits that can be read, each with whether it has annotations."""
        ...

    def read(self, split: str, name: str, report: Report) -> Dataset:
        """One of splits(), as a data set called `name`; faults go to `report` as they are met.

        Where `report` returns, reading goes on without the faulty object or annotation.
        """
        ...


def index_images(folder: Path) -> dict[str, Path]:
    """The pictures of a folder, by file name without its suffix."""
    if not folder.is_dir():
        return {}
    return {
        path.stem: path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES
    }
