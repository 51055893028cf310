"""COCO results JSON: a list of {image_id, category_id, bbox: [x, y, width, height], score}.

The toolkit writes its detections in this format, and also reads files of other tools.
"""

from __future__ import annotations

import gc
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from frcnn_cli.engine.datasets.readers.coco_records import CocoDataset, numbering
from frcnn_cli.engine.detection.rows import DetectionRows, image_indices, match_images
from frcnn_cli.engine.records import Dataset, Detections
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.files import write_json_list
from frcnn_proposals.reading import read_utf8


def coco_entries(
    image_id: str | int, detections: Detections, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """One entry per detection: image_id, category_id (1..K), category, bbox, score.

    bbox is x, y, width and height as in COCO: an inclusive box is x2 - x1 + 1 wide.
    """
    columns = (detections.boxes, detections.scores, detections.labels)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        {
            "image_id": image_id,
            "category_id": label,
            "category": classes[label - 1],
            "bbox": [x1, y1, x2 - x1 + 1, y2 - y1 + 1],
            "score": score,
        }
        for (x1, y1, x2, y2), score, label in rows
    ]


def write_coco_results(
    path: Path, detections: Mapping[str, Detections], classes: Sequence[str]
) -> None:
    """Write the detections of all images, by image id, as a complete file or not at all.

    Only the entries of one image are in memory.
    """
    groups = (coco_entries(name, found, classes) for name, found in detections.items())
    write_json_list(path, groups, indent=2)


def read_coco_results(path: Path, dataset: Dataset, reporter: Reporter = SILENT) -> DetectionRows:
    """Read a results file. Raises InputError that names the first invalid entry.

    image_id: see match_images. category_id: the number in the dataset's own JSON file, otherwise
    the label 1..K. If the file is an object, the list is its 'annotations' or 'detections'. If it
    also has 'categories' (id and name), or an entry has a 'category' (a name, as in the toolkit's
    own files), the class name decides. reporter: receives notes about numbers that are not certain.
    """
    with _collector_paused():
        entries, categories = _entries(path)
        label_of_name = {name: label for label, name in enumerate(dataset.classes, start=1)}
        label_of = _label_lookup(path, dataset, categories, label_of_name)
        try:
            if categories is None:
                label_of = _counted_labels(path, entries, dataset, label_of, reporter)
            names = [entry["image_id"] for entry in entries]
            labels = [_label(entry, label_of, label_of_name) for entry in entries]
            image_ids, images = image_indices(names, match_images(path, names, dataset, reporter))
            return DetectionRows(
                image_ids,
                images,
                np.array(labels, np.int64),
                _numbers(entry["score"] for entry in entries),
                _boxes([entry["bbox"] for entry in entries]),
                lambda row: f"entry {row + 1}",
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(_first_fault(path, entries, label_of, label_of_name)) from error


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the garbage collector, which would scan half a million small objects repeatedly."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _boxes(extents: list[Any]) -> NDArray[np.float64]:
    """Inclusive corners (D, 4) from D lists of x, y, width, height."""
    if extents and set(map(len, extents)) != {4}:
        raise ValueError("a box does not have 4 numbers")
    boxes = _numbers(chain.from_iterable(extents)).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2] - 1
    return boxes


def _numbers(values: Iterable[Any]) -> NDArray[np.float64]:
    """Numbers (N,). Unlike NumPy, this rejects strings of digits and lists of one number."""
    return np.array(array("d", values))


def _entries(path: Path) -> tuple[list[Any], list[Any] | None]:
    """The list of detections, and the categories of the file, if any."""
    try:
        content = orjson.loads(read_utf8(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable JSON file ({reason(error)})") from error
    categories = None
    if isinstance(content, dict):
        categories = content.get("categories")
        content = content.get("annotations", content.get("detections"))
    if not isinstance(content, list):
        raise InputError(f"{path}: expected a list of detections in the format of COCO results")
    return content, categories if isinstance(categories, list) else None


def _label_lookup(
    path: Path, dataset: Dataset, categories: list[Any] | None, labels: Mapping[str, int]
) -> Mapping[Any, int]:
    """Map each category_id to a label. labels: by class name."""
    if categories is None:
        return {number: label for label, number in enumerate(numbering(dataset).classes, start=1)}
    try:
        pairs = {(category["id"], category["name"]) for category in categories}
        names = dict(pairs)
        if len(names) < len(pairs):
            raise InputError(f"{path}: two of its categories have the same id")
        return {number: labels[name] for number, name in names.items() if name in labels}
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: each of its categories needs an id and a name") from error


def _counted_labels(
    path: Path,
    entries: list[Any],
    dataset: Dataset,
    label_of: Mapping[Any, int],
    reporter: Reporter,
) -> Mapping[Any, int]:
    """`label_of`, or the labels counted from 0 if the file does so; reports what is not certain."""
    used = {entry["category_id"] for entry in entries if entry.get("category") is None}
    classes = dataset.classes
    if 0 in used and 0 not in label_of and used <= set(range(len(classes))):
        reporter.note(f"{path}: its category numbers count from 0: 0 is {classes[0]!r}.")
        return {label - 1: label for label in range(1, len(classes) + 1)}
    if used and not isinstance(dataset, CocoDataset) and used <= set(range(1, len(classes))):
        reporter.note(
            f"{path}: no category_id is 0 or {len(classes)}, so they may count from 0 or from 1. "
            f"They are read as counted from 1: 1 is {classes[0]!r}. If that is wrong, add a "
            "'category', the class name, to each entry."
        )
    return label_of


def _label(
    entry: Mapping[str, Any], label_of: Mapping[Any, int], label_of_name: Mapping[str, int]
) -> int:
    name = entry.get("category")
    return label_of[entry["category_id"]] if name is None else label_of_name[name]


def _first_fault(
    path: Path,
    entries: list[Any],
    label_of: Mapping[Any, int],
    label_of_name: Mapping[str, int],
) -> str:
    """The error message for the first invalid entry."""
    for number, entry in enumerate(entries, start=1):
        where = f"{path}: entry {number}"
        if not isinstance(entry, dict):
            return f"{where}: expected an object with image_id, category_id, bbox and score"
        for key in ("image_id", "category_id", "bbox", "score"):
            if key not in entry:
                return f"{where}: {key} is missing"
        if not _is_numbers(entry["bbox"], 4) or not _is_numbers([entry["score"]], 1):
            return f"{where}: bbox must be 4 numbers and score one number"
        if not isinstance(entry["image_id"], (int, str)):
            return f"{where}: image_id must be an integer or a string"
        name = entry.get("category")
        if name is not None and (not isinstance(name, str) or name not in label_of_name):
            return f"{where}: unknown category {name!r}; expected one of {', '.join(label_of_name)}"
        category = entry["category_id"]
        if name is None and (not isinstance(category, (int, str)) or category not in label_of):
            first_ids = ", ".join(str(known) for known in list(label_of)[:20])
            return f"{where}: unknown category_id {category!r}; expected one of {first_ids}"
    return f"{path}: not COCO results"


def _is_numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, (int, float)) for value in values)
    )
