"""The interface of dataset layouts, and the faults that reading can report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from frcnn_cli.engine.datasets.listing import Listed
from frcnn_cli.engine.records import Dataset
from frcnn_proposals.errors import InputError

# Boxes may extend this far outside their image: published annotations have such off-by-one
# corners (VOC2012 has boxes that begin at 0, although its first pixel is 1).
BORDER_TOLERANCE = 1.0
# The split with all images of a dataset that has no train, val or test.
ALL = "all"
# The longest file names and paths of any supported system, in bytes.
LONGEST_NAME, LONGEST_PATH = 255, 4000
_SPLIT_WORDS = {
    "trainval": ("trainval",),
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "minival"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Fault:
    """A problem in the files of a dataset.

    tolerated: the reader can correct it (such as a corner one pixel outside); otherwise the
        object or the image cannot be used.
    missing_image: a listed image file does not exist.
    """

    path: Path
    message: str
    tolerated: bool = False
    missing_image: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


Report = Callable[[Fault], None]
Box = tuple[float, float, float, float]  # the four numbers of a box, in the order of the file


def raise_on_fault(fault: Fault) -> None:
    """Raise InputError for a fault that is not tolerated. The default report of readers."""
    if not fault.tolerated:
        raise InputError(
            f"{fault}\nCorrect the file. `frcnn data check` lists all problems of a dataset."
        )


def raise_unless_image_missing(fault: Fault) -> None:
    """Act as `raise_on_fault`, but ignore missing images. For work that reads no pixels."""
    if not fault.missing_image:
        raise_on_fault(fault)


class Layout(Protocol):
    """A dataset on disk that was found but not yet read."""

    @property
    def root(self) -> Path:
        """The folder or file of the dataset."""
        ...

    @property
    def kind(self) -> str:
        """The layout's name for messages: 'VOC', 'COCO json', ..."""
        ...

    def splits(self) -> Mapping[str, bool]:
        """Map the available splits to whether they have annotations."""
        ...

    def images(self, split: str) -> Sequence[Listed]:
        """List the ids and files of one of splits(), without reading annotations or images."""
        ...

    def read(self, split: str, name: str, report: Report) -> Dataset:
        """Read one of splits() as a dataset called `name`; `report` is called with each fault.

        If `report` returns, reading continues without the faulty object or annotation. An image
        whose file is missing stays in the dataset, with the expected path.
        """
        ...


def leads_inside(file_name: object) -> bool:
    """Whether a file name or image id names a file inside its folder, as far as names go.

    Files are read and written by it: every reader rejects one that leads elsewhere.
    """
    return (
        isinstance(file_name, str)
        and 0 < len(file_name) <= LONGEST_NAME
        and file_name.isprintable()
        and Path(file_name).name != ""
        and ".." not in Path(file_name).parts
        and not Path(file_name).is_absolute()
    )


def outside_by(box: Box, width: float | None, height: float | None) -> float:
    """Return how many pixels a 0-based inclusive box extends beyond its image.

    The result is infinite if the box is completely outside. A width or height of None sets no
    limit.
    """
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
    """Convert x, y, width, height (continuous) to x1, y1, x2, y2 with inclusive corners.

    size: width and height of the image. Reports a fault and returns None for a box with a
    negative width or height, a box without area (tolerated: published files have some), and a
    box that extends more than BORDER_TOLERANCE beyond the image. Smaller excesses are not
    clipped, so that scores equal those of other tools on the same file.
    """
    x, y, width, height = extent
    shown = f"{where}, box {x:g} {y:g} {width:g} {height:g}"
    if width < 0 or height < 0:
        report(Fault(path, f"{shown}: negative width or height"))
        return None
    if width == 0 or height == 0:
        report(Fault(path, f"{shown}: no area, skipped", tolerated=True))
        return None
    box = (x, y, x + width - 1, y + height - 1)
    if outside_by(box, *size) > BORDER_TOLERANCE:
        report(Fault(path, f"{shown}: outside its {size[0]} x {size[1]} image"))
        return None
    return box


def split_of(word: str) -> str | None:
    """Return the split that a folder or file name means (valid, val2017 -> val), or None."""
    letters = word.lower().rstrip("0123456789_-")
    return next((split for split, words in _SPLIT_WORDS.items() if letters in words), None)
