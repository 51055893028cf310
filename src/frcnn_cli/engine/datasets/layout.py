"""The interface of dataset layouts, and the faults that reading can report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from frcnn_cli.engine.datasets.listing import Listed, folders_in
from frcnn_cli.engine.records import Dataset
from frcnn_proposals.errors import InputError

# Boxes may extend this far outside their image, in pixels: published annotations have such
# off-by-one corners (VOC2012 has boxes that begin at 0, although its first pixel is 1).
BORDER_TOLERANCE = 1.0
# The split with all images of a dataset that has no train, val or test.
ALL = "all"
# The longest file names and paths of any supported system, in bytes.
LONGEST_NAME, LONGEST_PATH = 255, 4000
# As keys, 0.0 and False equal 0.
_FLAGS: dict[object, bool] = {
    "0": False,
    "1": True,
    "false": False,
    "true": True,
    0: False,
    1: True,
}
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
    clipped: a box is too far outside its image. If reading continues, it is clipped to the image.
    """

    path: Path
    message: str
    tolerated: bool = False
    missing_image: bool = False
    clipped: bool = False

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

    def omitted(self) -> Mapping[str, Fault]:
        """Map the splits that the dataset names, but that have no images, to the reason."""
        ...

    def read(self, split: str, name: str, report: Report) -> Dataset:
        """Read one of splits() as a dataset called `name`; `report` is called with each fault.

        If `report` returns, reading continues without the faulty object or annotation; a box that
        is partly outside its image is clipped to it. An image whose file is missing stays in the
        dataset, with the expected path.
        """
        ...


def leads_inside(file_name: object) -> bool:
    """Whether a file name or image id names a file inside its folder, as far as names go.

    Files are read and written by it: every reader rejects one that leads elsewhere.
    """
    if not (
        isinstance(file_name, str)
        and 0 < len(file_name) <= LONGEST_NAME
        and file_name.isprintable()
        and not file_name.startswith("/")
    ):
        return False
    folders = file_name.split("/")
    return ".." not in folders and any(folder not in ("", ".") for folder in folders)


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
    box outside the image. See box_in_image: small excesses are not clipped, so that scores equal
    those of other tools on the same file.
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
    return box_in_image(path, shown, box, size, report)


def box_in_image(
    path: Path,
    shown: str,
    box: Box,
    size: tuple[float | None, float | None],
    report: Report,
) -> Box | None:
    """Compare a 0-based inclusive box with its image. shown: the box in messages.

    Reports a fault for a box that extends more than BORDER_TOLERANCE beyond the image, and
    returns it clipped; for a box completely outside, the result is None. Smaller excesses are
    not reported, and not clipped.
    """
    outside = outside_by(box, *size)
    if outside <= BORDER_TOLERANCE:
        return box
    image = f"outside its {size[0]} x {size[1]} image"
    if math.isinf(outside):
        report(Fault(path, f"{shown}: {image}"))
        return None
    report(Fault(path, f"{shown}: {outside:.6g} pixels {image}", clipped=True))
    return clipped_to(box, *size)


def clipped_to(box: Box, width: float | None, height: float | None) -> Box:
    """Return the part of a 0-based inclusive box inside its image; None sets no limit."""
    right = math.inf if width is None else width - 1
    bottom = math.inf if height is None else height - 1
    return max(box[0], 0), max(box[1], 0), min(box[2], right), min(box[3], bottom)


def read_flag(path: Path, where: str, value: object, report: Report) -> bool:
    """Return whether a flag such as difficult is set: 1 or true, as a number or a text.

    where: the object and the name of the flag. A missing or empty value is 0. A tolerated fault
    is reported for any value other than 0, 1, true and false, which is then read as 0.
    """
    if value is None or value == "":
        return False
    word = value.strip().lower() if isinstance(value, str) else value
    if isinstance(word, str | int | float) and word in _FLAGS:
        return _FLAGS[word]
    shown = repr(value)[:40] if isinstance(value, str | int | float) else "a list or object"
    message = f"{where} is {shown}, not 0, 1, true or false: read as 0"
    report(Fault(path, message, tolerated=True))
    return False


def split_of(word: str) -> str | None:
    """Return the split that a folder or file name means (valid, val2017 -> val), or None."""
    letters = word.lower().rstrip("0123456789_-")
    return next((split for split, words in _SPLIT_WORDS.items() if letters in words), None)


def split_folders(root: Path, is_split: Callable[[Path], bool]) -> list[tuple[str, Path]]:
    """Each folder in `root` that has the name of a split and for which `is_split` is true.

    Returns (split, folder).
    """
    return [
        (split, folder)
        for folder in folders_in(root)
        if (split := split_of(folder.name)) and is_split(folder)
    ]


def folder_of_split(root: Path, is_split: Callable[[Path], bool]) -> dict[str, Path]:
    """Map splits to their folders. Raises InputError if two folders are one split."""
    found: dict[str, Path] = {}
    for split, folder in split_folders(root, is_split):
        if found.setdefault(split, folder) != folder:
            names = f"{found[split].name} and {folder.name}"
            raise InputError(f"{root}: {names} are both {split}. Rename one of them.")
    return found
