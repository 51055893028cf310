"""Records of a COCO dataset, read from its json and checked entry by entry.

They add fields that the engine's own records do not have, and the numbers that COCO files use for
images and classes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.datasets.layout import Fault, Report
from frcnn_cli.engine.datasets.readers.coco_json import Id, identifier, name_inside
from frcnn_cli.engine.records import Dataset, GroundTruth
from frcnn_proposals.errors import InputError
from frcnn_proposals.files import is_writable


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
    """An entry in the list of images. file_name: see name_inside."""

    number: Id
    file_name: str
    width: int | None
    height: int | None

    @classmethod
    def read(cls, path: Path, root: Path, entry: Any) -> CocoImage:
        """Read an entry. Raises InputError if it is not an image of the dataset in `root`."""
        try:
            number, given = identifier(entry["id"]), entry["file_name"]
            lengths = entry.get("width"), entry.get("height")
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: an image needs an id and a file_name") from error
        file_name = name_inside(path, root, given)
        if file_name is None:
            raise InputError(
                f"{path}: image {str(entry['id'])[:40]}: invalid file_name {str(given)[:80]!r}.\n"
                f"Expected the path of a file in {root}."
            )
        try:
            width, height = map(_length, lengths)
        except ValueError:
            number = None
        if number is None:
            raise InputError(f"{path}: image {file_name}: id, width and height must be integers")
        return cls(number, file_name, width, height)


def _length(value: Any) -> int | None:
    """Return a width or height in pixels; None for one that is not known: null, 0 or empty."""
    number = identifier(value)
    if value in (None, "", 0, "0"):
        return None
    if not isinstance(number, int) or number < 0:
        raise ValueError("not a length")
    return number


def categories_of(path: Path, content: dict[str, Any]) -> tuple[tuple[Id, ...], tuple[str, ...]]:
    """Return ids and names of the categories, in order of number.

    If an id is not a number, they are in the order of the file.
    """
    names: dict[Id, Any] = {}
    for entry in content["categories"]:
        try:
            number, name = identifier(entry["id"]), entry["name"]
        except (KeyError, TypeError) as error:
            raise InputError(f"{path}: a category needs an id and a name") from error
        if number is None:
            raise InputError(f"{path}: the id of category {str(name)[:40]!r} must be an integer")
        if names.setdefault(number, name) != name:
            both = f"{names[number]!r:.40} and {name!r:.40}"
            raise InputError(f"{path}: categories {both} both have the id {number}")
    numbers = [number for number in names if isinstance(number, int)]
    ids = tuple(sorted(numbers)) if len(numbers) == len(names) else tuple(names)
    classes = tuple(names[number] for number in ids)
    valid = all(isinstance(name, str) and _is_name(name) for name in classes)
    if not valid or len(set(classes)) < len(classes):
        raise InputError(f"{path}: category names must be unique strings of one line")
    return ids, classes


def numbers_of(ids: Sequence[Id]) -> list[int]:
    """Return the ids if all are numbers, else positions from 1."""
    numbers = [number for number in ids if isinstance(number, int)]
    return numbers if len(numbers) == len(ids) else list(range(1, len(ids) + 1))


def _is_name(text: str) -> bool:
    return is_writable(text) and text.splitlines() == [text]


def annotations_by_image(
    path: Path, content: dict[str, Any], report: Report
) -> dict[Id, list[Mapping[str, Any]]] | None:
    """Map image ids to annotations; None if the file has no list of annotations."""
    entries = content.get("annotations")
    if not isinstance(entries, list):
        return None
    by_image: dict[Id, list[Mapping[str, Any]]] = defaultdict(list)
    ids: Counter[Id | None] = Counter()
    for position, entry in enumerate(entries, start=1):
        image = identifier(entry.get("image_id")) if isinstance(entry, dict) else None
        if image is None:
            report(Fault(path, f"annotation {position}: image_id is missing or not an integer"))
            continue
        by_image[image].append(entry)
        ids[identifier(entry.get("id"))] += 1
    del ids[None]
    if repeated := [number for number, times in ids.items() if times > 1]:
        shown = f"{repeated[0]!r:.40}{', ...' if repeated[1:] else ''}"
        message = f"annotations with the same id ({shown}): all of them are read"
        report(Fault(path, message, tolerated=True))
    return by_image


def distinct_images(
    path: Path,
    images: Sequence[CocoImage],
    annotations: dict[Id, list[Mapping[str, Any]]] | None,
    report: Report,
) -> list[CocoImage]:
    """Return the images without those whose annotations are not certain, and remove these.

    Reported are images with the same id, of which none is kept, and images with the same name,
    of which the first is kept.
    """
    name_of: dict[Id, str] = {}
    id_of: dict[str, Id] = {}
    kept: dict[Id, CocoImage] = {}
    unclear: set[Id] = set()
    for image in images:
        name = name_of.setdefault(image.number, image.file_name)
        number = id_of.setdefault(image.file_name, image.number)
        if name != image.file_name:
            message = f"images {name} and {image.file_name} both have the id {image.number}"
            report(Fault(path, message))
            unclear.add(image.number)
        elif number != image.number:
            ids = f"{number} and {image.number}"
            report(Fault(path, f"two images have the name {name}: their ids are {ids}"))
            unclear.add(image.number)
        elif image.number in kept:
            report(Fault(path, f"image {name} is listed twice", tolerated=True))
        else:
            kept[image.number] = image
    for number in unclear:
        kept.pop(number, None)
        if annotations is not None:
            annotations.pop(number, None)
    return list(kept.values())
