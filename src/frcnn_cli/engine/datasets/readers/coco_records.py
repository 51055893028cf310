"""Records of a COCO dataset, read from its json and checked entry by entry.

They add fields that the engine's own records do not have, and the numbers that COCO files use for
images and classes.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.datasets.layout import Box, Fault, Report, inclusive_box, leads_inside
from frcnn_cli.engine.records import Dataset, GroundTruth
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.files import is_writable
from frcnn_proposals.reading import read_utf8

_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True)
class SizedTruth(GroundTruth):
    """Objects with their areas. area: float64 (N,), in pixels.

    COCO classifies objects as small, medium or large by the area of the segmentation, not of the
    box.
    """

    area: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class CocoDataset(Dataset):
    """A dataset with the numbers of images and classes in its json, which results refer to.

    image_numbers: by image id. class_numbers: one per class, in order of label.
    """

    image_numbers: Mapping[str, int] = field(default_factory=dict)
    class_numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Numbering:
    """Numbers of images by image id, and of classes in order of label (classes[0] is label 1)."""

    images: Mapping[str, int]
    classes: tuple[int, ...]


def numbering(dataset: Dataset) -> Numbering:
    """Return the numbers in the dataset's json; for other datasets, numbers from its names.

    An id such as 000012 is image 12. If not all ids are numbers, or two have the same number,
    images are counted from 1 in order. The numbers of classes are then their labels.
    """
    if isinstance(dataset, CocoDataset):
        return Numbering(dataset.image_numbers, dataset.class_numbers)
    ids = [image.image_id for image in dataset.images]
    classes = tuple(range(1, len(dataset.classes) + 1))
    # Numbers of 15 digits are exact in programs that store them as doubles.
    if all(name.isascii() and name.isdigit() and len(name) <= 15 for name in ids):
        numbers = [int(name) for name in ids]
        if len(set(numbers)) == len(numbers):
            return Numbering(dict(zip(ids, numbers, strict=True)), classes)
    return Numbering({name: number for number, name in enumerate(ids, start=1)}, classes)


@dataclass(frozen=True)
class CocoImage:
    """An entry in the list of images."""

    number: int
    file_name: str
    width: int | None
    height: int | None

    @classmethod
    def read(cls, path: Path, entry: Any) -> CocoImage:
        """Read an entry. Raises InputError if it is not an image or leads out of the folder."""
        try:
            number, file_name = entry["id"], entry["file_name"]
            width, height = entry.get("width"), entry.get("height")
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: an image needs an id and a file_name") from error
        if not leads_inside(file_name):
            raise InputError(
                f"{path}: image {str(number)[:40]}: invalid file_name {str(file_name)[:80]!r}"
            )
        if not isinstance(number, int) or not all(
            value is None or (isinstance(value, int) and value > 0) for value in (width, height)
        ):
            raise InputError(f"{path}: image {file_name}: id, width and height must be integers")
        return cls(number, file_name, width, height)


def load_json(path: Path) -> dict[str, Any]:
    try:
        content = _loaded(read_utf8(path))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a readable json file ({reason(error)})") from error
    lists = ("images", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in lists):
        raise InputError(
            f"{path}: not a COCO dataset: expected lists of images, annotations and categories"
        )
    if not content["images"]:
        raise InputError(f"{path}: the file lists no images")
    return content


def file_names(path: Path) -> list[str]:
    """The names of the images in a json file, found without parsing its annotations."""
    try:
        found = _FILE_NAME.findall(read_utf8(path))
        names = [json.loads(text) for text in found]
    except (OSError, ValueError):  # reading the split reports the error
        return []
    return [name for name in names if leads_inside(name)]


def _loaded(content: bytes) -> Any:
    """Parse json; integers that do not fit into 64 bits become floats.

    Python's integers have no limit, but NumPy's have.
    """
    if re.search(rb"\d{21}", content) is None:
        return json.loads(content)
    return json.loads(content, parse_int=lambda text: int(text) if len(text) < 21 else float(text))


def categories_of(path: Path, content: dict[str, Any]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return numbers and names of the categories, in order of number."""
    try:
        names = {entry["id"]: entry["name"] for entry in content["categories"]}
        numbers = tuple(sorted(names))
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: a category needs an id and a name") from error
    classes = tuple(names[number] for number in numbers)
    valid = all(isinstance(name, str) and _is_name(name) for name in classes)
    if not valid or len(set(classes)) < len(classes):
        raise InputError(f"{path}: category names must be unique strings of one line")
    return numbers, classes


def _is_name(text: str) -> bool:
    return is_writable(text) and text.splitlines() == [text]


def annotations_by_image(
    path: Path, content: dict[str, Any], report: Report
) -> dict[int, list[Mapping[str, Any]]] | None:
    """Map image numbers to annotations; None if the file has no list of annotations."""
    entries = content.get("annotations")
    if not isinstance(entries, list):
        return None
    by_image: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for position, entry in enumerate(entries, start=1):
        if isinstance(entry, dict) and isinstance(entry.get("image_id"), int):
            by_image[entry["image_id"]].append(entry)
        else:
            report(Fault(path, f"annotation {position}: image_id is missing or not an integer"))
    return by_image


def object_truth(
    path: Path,
    image: CocoImage,
    entries: list[Mapping[str, Any]],
    label_of: Mapping[Any, int],
    report: Report,
) -> SizedTruth:
    boxes, labels, difficult, crowd, area = [], [], [], [], []
    for entry in entries:
        where = f"{image.file_name}, annotation {entry.get('id')}"
        category = entry.get("category_id")
        if not isinstance(category, int) or category not in label_of:
            report(Fault(path, f"{where}: unknown category_id {category!r}"))
            continue
        extent = _four_numbers(entry.get("bbox"))
        if extent is None:
            report(Fault(path, f"{where}: bbox must be 4 numbers"))
            continue
        size = (image.width, image.height)
        box = inclusive_box(path, where, extent, size, report)
        if box is not None:
            boxes.append(box)
            labels.append(label_of[category])
            difficult.append(bool(entry.get("difficult", 0)))
            crowd.append(bool(entry.get("iscrowd", 0)) and not difficult[-1])
            area.append(_number_or(entry.get("area"), extent[2] * extent[3]))
    return SizedTruth(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.array(difficult, bool),
        np.array(crowd, bool),
        np.array(area, np.float64),
    )


def _four_numbers(extent: Any) -> Box | None:
    try:
        x, y, width, height = (float(value) for value in extent)
    except (TypeError, ValueError, OverflowError):
        return None
    return (x, y, width, height) if all(map(math.isfinite, (x, y, width, height))) else None


def _number_or(value: Any, default: float) -> float:
    number = isinstance(value, (int, float)) and math.isfinite(value)
    return float(value) if number else default
