"""What every data set layout offers, and how its faults are reported while it is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from frcnn_cli.engine.records import Dataset
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import SUFFIXES

# A corner this far outside its image is moved to the border: published annotations have such
# off-by-one corners (VOC2012 has boxes that begin at 0 where 1 is the first pixel).
BORDER_TOLERANCE = 1.0
# The split that holds everything of a data set without train, val or test.
ALL = "all"
# No system has longer names of files, or longer paths, in bytes.
LONGEST_NAME, LONGEST_PATH = 255, 4000
_SPLIT_WORDS = {
    "trainval": ("trainval",),
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "minival"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Fault:
    """Something wrong in a data set's files.

    tolerated: the reader knows a safe reading (a corner one pixel outside is moved in);
        otherwise the object or the image cannot be used.
    missing_picture: an image file that is listed but not there.
    """

    path: Path
    message: str
    tolerated: bool = False
    missing_picture: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


Report = Callable[[Fault], None]
Box = tuple[float, float, float, float]  # four numbers of a box, in the order of its file


def refuse(fault: Fault) -> None:
    """The report of ordinary reading: the first fault that is not tolerated is an InputError."""
    if not fault.tolerated:
        raise InputError(
            f"{fault}\nCorrect the file; `frcnn data check` lists every fault of a data set."
        )


def refuse_unless_picture(fault: Fault) -> None:
    """As `refuse`, but for work that looks at no pixels: a missing picture does not matter."""
    if not fault.missing_picture:
        refuse(fault)


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

        Where `report` returns, reading goes on without the faulty object or annotation; an
        image whose picture is missing stays, with the path where it should be.
        """
        ...


def index_images(folder: Path) -> dict[str, Path]:
    """The pictures of a folder, by file name without its suffix."""
    if not folder.is_dir():
        return {}
    return {path.stem: path for path in sorted(folder.iterdir()) if is_image(path)}


def is_image(path: Path) -> bool:
    """Whether the file's name is that of a picture."""
    return path.suffix.lower() in SUFFIXES


def outside_by(box: Box, width: float | None, height: float | None) -> float:
    """How many pixels a 0-based inclusive box reaches out of its image; infinite if it is
    nowhere inside. A length of the image that is not known limits nothing."""
    right = math.inf if width is None else width - 1
    bottom = math.inf if height is None else height - 1
    x1, y1, x2, y2 = box
    if x1 > right or y1 > bottom or x2 < 0 or y2 < 0:
        return math.inf
    return max(-x1, -y1, x2 - right, y2 - bottom, 0.0)


def inclusive_box(
    path: Path,
    where: str,
    extent: Box,
    size: tuple[float | None, float | None],
    report: Report,
) -> Box | None:
    """x, y, width, height (continuous) as x1, y1, x2, y2 with inclusive corners.

    size: the image's width and height. Reported, and None returned: a box without area
    (tolerated: published files have some), one turned inside out, one that reaches more than
    BORDER_TOLERANCE outside. A smaller excess stays as it is, so that scores are those of
    other tools on the same file.
    """
    x, y, width, height = extent
    shown = f"{where}, box {x:g} {y:g} {width:g} {height:g}"
    if width < 0 or height < 0:
        report(Fault(path, f"{shown}: turned inside out"))
        return None
    if width == 0 or height == 0:
        report(Fault(path, f"{shown}: without area, left out", tolerated=True))
        return None
    box = (x, y, x + width - 1, y + height - 1)
    if outside_by(box, *size) > BORDER_TOLERANCE:
        report(Fault(path, f"{shown}: outside its {size[0]} x {size[1]} image"))
        return None
    return box


def split_of(word: str) -> str | None:
    """The split that a folder's or file's name stands for: valid, val2017 -> val."""
    letters = word.lower().rstrip("0123456789_-")
    return next((split for split, words in _SPLIT_WORDS.items() if letters in words), None)
