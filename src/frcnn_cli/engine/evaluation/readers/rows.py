"""Detections as rows of a file, before they are grouped by image, and the images they name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.datasets.readers.coco_records import CocoDataset, numbering
from frcnn_cli.engine.records import Dataset, ImageRecord
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.ids import names_by_number
from frcnn_proposals.image_ids import without_suffix

_LONGEST_SHOWN = 100


@dataclass(frozen=True)
class DetectionRows:
    """D detections of a file.

    image_ids: the images of the file, in order of appearance; image (D,): index into them;
    labels (D,) 1..K; scores (D,); boxes (D, 4) in the toolkit's coordinates. where: a function
    from a row number to a description of its position in the file.
    """

    image_ids: tuple[str, ...]
    image: NDArray[np.int64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    boxes: NDArray[np.float64]
    where: Callable[[int], str]


def shortened(name: str) -> str:
    """A name from a file, for messages."""
    return repr(name if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]}...")


def image_indices(
    names: Iterable[Any], id_of: Mapping[Any, str]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The different images of `names` in order of appearance, and an index into them per name."""
    place_of_id: dict[str, int] = {}
    place_of = {
        name: place_of_id.setdefault(image_id, len(place_of_id)) for name, image_id in id_of.items()
    }
    return tuple(place_of_id), np.array([place_of[name] for name in names], np.int64)


def match_images(
    path: Path, names: Iterable[Any], dataset: Dataset, reporter: Reporter = SILENT
) -> dict[Any, str]:
    """Map each image name in a file of detections to the dataset's id.

    A name is an id; or the name of the image file, with or without its suffix and folders; or a
    number: that of the dataset's json or, for ids of digits, their value (see names_by_number). If
    ids are other names, numbers are positions from 1, with a note. Unknown names are kept: they
    may be images of another split.
    Raises InputError for a name with two meanings, TypeError for anything but a string or an
    integer.
    """
    different = dict.fromkeys(names)
    numbers = [name for name in different if not isinstance(name, str)]
    if not all(isinstance(name, int | float) and name == int(name) for name in numbers):
        raise TypeError("an image is a string or an integer")
    id_of_number = _numbered(path, set(numbers), len(numbers) < len(different), dataset, reporter)
    ids = {image.image_id for image in dataset.images}
    is_known = all(name in ids for name in different if isinstance(name, str))
    files = {} if is_known else _by_stem(dataset)
    matched: dict[Any, str] = {}
    name_of: dict[str, str] = {}
    for name in different:
        if not isinstance(name, str):
            matched[name] = id_of_number.get(name, str(name))
            continue
        found = name if name in ids else _named_file(path, name, files)
        if found is None and name.isascii() and name.isdigit() and len(name) <= 15:
            found = id_of_number.get(int(name))
        matched[name] = name if found is None else found
        other = name_of.setdefault(matched[name], name)
        if other != name:
            raise InputError(
                f"{path}: {shortened(other)} and {shortened(name)} both match image "
                f"{matched[name]!r} of {dataset.name} {dataset.split}. Use the dataset's ids."
            )
    return matched


def _numbered(
    path: Path, numbers: set[int], has_names: bool, dataset: Dataset, reporter: Reporter
) -> Mapping[int, str]:
    """Map numbers to ids. numbers: all of the file. has_names: whether it also has names."""
    positions = {number: name for name, number in numbering(dataset).images.items()}
    values = names_by_number([image.image_id for image in dataset.images])
    if isinstance(dataset, CocoDataset) or positions == values:
        return positions
    if has_names or not numbers:  # other tools write a number for a file name of digits
        return values
    readings = [ids for ids in (values, positions) if numbers <= ids.keys()]
    if len({tuple(ids[number] for number in numbers) for ids in readings}) != 1:
        known = dataset.images[0].image_id if dataset.images else "none"
        raise InputError(
            f"{path}: its images are numbers such as {min(numbers)}, but those of {dataset.name} "
            f"{dataset.split} have names such as {known!r}.\n"
            f"Use these names, or the numbers 1 to {len(dataset)} in the order of the images."
        )
    if readings[0] is positions:
        first, last = min(numbers), max(numbers)
        reporter.note(
            f"{path}: its images are numbers. They are read as positions in {dataset.name} "
            f"{dataset.split}, as `data export --format coco` writes them: {first} is "
            f"{positions[first]!r}, {last} is {positions[last]!r}."
        )
    return readings[0]


def _by_stem(dataset: Dataset) -> dict[str, list[ImageRecord]]:
    """The images by the last part of their id, without suffix."""
    found: dict[str, list[ImageRecord]] = defaultdict(list)
    for image in dataset.images:
        found[_parts(image.image_id)[-1]].append(image)
    return found


def _named_file(path: Path, name: str, files: Mapping[str, list[ImageRecord]]) -> str | None:
    """The id of the image whose file has this name; None if there is none."""
    parts = _parts(name)
    found = [
        image.image_id
        for image in files.get(parts[-1], ())
        if _ends_with(_parts(image.path.as_posix()), parts)
        or _ends_with(parts, _parts(image.image_id))
    ]
    if len(found) > 1:
        raise InputError(
            f"{path}: image {shortened(name)} can be {found[0]!r} or {found[1]!r}. "
            "Use the dataset's ids."
        )
    return found[0] if found else None


def _parts(name: str) -> tuple[str, ...]:
    """The folders and the file name of a path, without the suffix of an image."""
    return PurePosixPath(without_suffix(name.replace("\\", "/"))).parts or ("",)


def _ends_with(parts: tuple[str, ...], end: tuple[str, ...]) -> bool:
    return parts[-len(end) :] == end
