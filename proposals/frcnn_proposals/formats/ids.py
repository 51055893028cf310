"""Map the ids in a file to the ids of a dataset."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from frcnn_proposals.errors import InputError
from frcnn_proposals.files import is_writable

_NUMBER = re.compile(r"[0-9]+(_[0-9]+)*")
_COCO_NAME = re.compile(r"COCO_[a-z]+[0-9]{4}_([0-9]{12})")


def image_ids_of(
    path: Path, found: Sequence[str | int] | None, count: int, image_ids: Sequence[str] | None
) -> list[str]:
    """An image id for each of a file's `count` tables.

    found: the ids in the file, or None if its tables are in the order of `image_ids`.
    A whole number is mapped to the one image id that equals it without separators and leading
    zeros. Ids that are not in the dataset are not changed.
    Raises InputError if an image list is needed but missing or of another length, or if two tables
    get the same id.
    """
    if found is None:
        return _by_order(path, count, image_ids)
    names = _names_by_number(image_ids or ())
    known = set(image_ids or ())
    ids = [_named(file_id, known, names) for file_id in found]
    if not is_writable("".join(ids)):
        raise InputError(f"{path}: an image id in it is not valid text")
    if len(set(ids)) < len(ids):
        repeated = next(image_id for image_id, times in Counter(ids).items() if times > 1)
        raise InputError(f"{path}: has more than one list of boxes for image {repeated!r}")
    return ids


def _by_order(path: Path, count: int, image_ids: Sequence[str] | None) -> list[str]:
    if image_ids is None:
        raise InputError(
            f"{path}: its {count} lists of boxes have no ids, only an order.\n"
            "Give the list of images that it was created for: `--image-set` of "
            "`frcnn proposals convert`."
        )
    if len(image_ids) != count:
        raise InputError(
            f"{path}: has boxes for {count} images, but the image list has {len(image_ids)}; "
            "it was created for another list"
        )
    return list(image_ids)


def _named(found: str | int, known: set[str], names: dict[int, str]) -> str:
    if isinstance(found, str) and found in known:
        return found
    number = whole_number(str(found))
    return names.get(number, str(found)) if number is not None else str(found)


def _names_by_number(image_ids: Sequence[str]) -> dict[int, str]:
    """Image ids by their whole number, without ids that share a number."""
    numbers = [(whole_number(image_id), image_id) for image_id in image_ids]
    times = Counter(number for number, _ in numbers)
    return {
        number: image_id
        for number, image_id in numbers
        if number is not None and times[number] == 1
    }


def whole_number(text: str) -> int | None:
    """The number of an image id in files with whole numbers as ids; None if it has no number."""
    coco = _COCO_NAME.fullmatch(text)
    digits = coco[1] if coco else text
    return int(digits.replace("_", "")) if _NUMBER.fullmatch(digits) and len(digits) < 100 else None
