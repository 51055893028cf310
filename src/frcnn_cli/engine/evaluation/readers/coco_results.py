"""Read COCO results JSON, of the toolkit and of other tools, without all of its objects at once."""

from __future__ import annotations

from array import array
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson

from frcnn_cli.engine.datasets.readers.coco_json import collector_paused
from frcnn_cli.engine.datasets.readers.coco_records import CocoDataset, numbering
from frcnn_cli.engine.evaluation.readers.rows import DetectionRows, image_indices, match_images
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.reading import open_file, read_utf8

_BLOCK = 1 << 18
# The last brace in a block can be that of an object within an entry; an entry has few of these.
_ENDS_TRIED = 8


def read_coco_results(path: Path, dataset: Dataset, reporter: Reporter = SILENT) -> DetectionRows:
    """Read a results file. Raises InputError that names the first invalid entry.

    image_id: see match_images. category_id: the number in the dataset's own JSON file, otherwise
    the label 1..K. If the file is an object, the list is its 'annotations' or 'detections'. If it
    also has 'categories' (id and name), or an entry has a 'category' (a name, as in the toolkit's
    own files), the class name decides. reporter: receives notes about numbers that are not certain.
    """
    with collector_paused():
        file = ResultsFile.open(path)
        label_of_name = {name: label for label, name in enumerate(dataset.classes, start=1)}
        label_of = _label_lookup(path, dataset, file.categories, label_of_name)
        columns = _Columns()
        try:
            for entries in file.blocks():
                columns.add(entries)
            if file.categories is None:
                label_of = _counted_labels(path, set(columns.numbers), dataset, label_of, reporter)
            labels = columns.labels(label_of, label_of_name)
            names = columns.images
            image_ids, places = image_indices(names, match_images(path, names, dataset, reporter))
            return DetectionRows(
                image_ids,
                places[np.frombuffer(columns.image, np.int32)],
                labels,
                np.frombuffer(columns.scores),
                columns.boxes(),
                lambda row: f"entry {row + 1}",
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            entries_of_file = chain.from_iterable(file.blocks())
            fault = _first_fault(path, entries_of_file, label_of, label_of_name)
            raise InputError(fault) from error


@dataclass
class _Columns:
    """The values of the entries read so far.

    images, numbers, names: the different image_ids, category_ids and categories, with their place.
    image: the place of each entry's image. category: that of its category_id, or -1 - that of its
    name.
    """

    images: dict[Any, int] = field(default_factory=dict)
    numbers: dict[Any, int] = field(default_factory=dict)
    names: dict[Any, int] = field(default_factory=dict)
    image: array[int] = field(default_factory=lambda: array("i"))
    category: array[int] = field(default_factory=lambda: array("i"))
    scores: array[float] = field(default_factory=lambda: array("d"))
    extents: array[float] = field(default_factory=lambda: array("d"))

    def add(self, entries: list[Any]) -> None:
        """Add entries. array() rejects what NumPy takes: strings of digits, lists of one number."""
        images, extents = self.images, [entry["bbox"] for entry in entries]
        if extents and set(map(len, extents)) != {4}:
            raise ValueError("a box does not have 4 numbers")
        self.image.extend(images.setdefault(entry["image_id"], len(images)) for entry in entries)
        self.category.extend(map(self._category, entries))
        self.scores.extend(entry["score"] for entry in entries)
        self.extents.extend(chain.from_iterable(extents))

    def _category(self, entry: Mapping[str, Any]) -> int:
        name = entry.get("category")
        if name is None:
            return self.numbers.setdefault(entry["category_id"], len(self.numbers))
        return -1 - self.names.setdefault(name, len(self.names))

    def labels(
        self, label_of: Mapping[Any, int], label_of_name: Mapping[str, int]
    ) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The label of each entry (D,). Raises KeyError for an unknown class."""
        known = [label_of[number] for number in self.numbers]
        named = [label_of_name[name] for name in self.names]
        of_place = np.array([*known, *reversed(named)], np.int64)  # the place -1 is the last item
        return of_place[np.frombuffer(self.category, np.int32)]

    def boxes(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Inclusive corners (D, 4)."""
        boxes = np.frombuffer(self.extents).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2] - 1
        return boxes


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
    used: set[Any],
    dataset: Dataset,
    label_of: Mapping[Any, int],
    reporter: Reporter,
) -> Mapping[Any, int]:
    """`label_of`, or the labels counted from 0 if the file does so; reports what is not certain.

    used: the category numbers of entries without the name of a class.
    """
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


def _first_fault(
    path: Path,
    entries: Iterable[Any],
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


@dataclass(frozen=True)
class ResultsFile:
    """A file of detections: a list, or an object with a list.

    categories: those of the file, if any. content: the list; None if it is read in blocks.
    """

    path: Path
    categories: list[Any] | None = None
    content: list[Any] | None = None

    @classmethod
    def open(cls, path: Path) -> ResultsFile:
        """The file. Raises InputError if it is not readable or has no list of detections."""
        try:
            with open_file(path) as file:
                if _without_mark(file.read(_BLOCK)).lstrip().startswith(b"["):
                    return cls(path)
        except OSError as error:
            raise _unreadable(path, error) from error
        content, categories = _loaded(path), None
        if isinstance(content, dict):
            categories = content.get("categories")
            content = content.get("annotations", content.get("detections"))
        if not isinstance(content, list):
            raise InputError(f"{path}: expected a list of detections in the format of COCO results")
        return cls(path, categories if isinstance(categories, list) else None, content)

    def blocks(self) -> Iterator[list[Any]]:
        """The entries, in several lists. Raises InputError for invalid JSON."""
        if self.content is not None:
            yield self.content
            return
        count = 0
        try:
            with open_file(self.path) as file:
                for entries in _blocks(file):
                    count += len(entries)
                    yield entries
        except OSError as error:
            raise _unreadable(self.path, error) from error
        except orjson.JSONDecodeError:
            # It has the position in a block; loading the whole file raises it with the right one.
            yield _loaded(self.path)[count:]


def _blocks(file: BinaryIO) -> Iterator[list[Any]]:
    """The entries of a file with a list. Raises JSONDecodeError if it is not valid."""
    text = _without_mark(file.read(_BLOCK)).lstrip().removeprefix(b"[")
    before = b"["  # what makes the rest of the file a list
    while block := file.read(max(_BLOCK, len(text))):
        text += block
        end = len(text)
        for _ in range(_ENDS_TRIED):
            end = text.rfind(b"}", 0, end)
            if end < 0:
                break
            try:
                # Only complete entries are valid: an end within an entry or a string is not.
                entries = orjson.loads(before + text[: end + 1] + b"]")
            except orjson.JSONDecodeError:
                continue
            yield entries[1:] if before != b"[" else entries
            text, before = text[end + 1 :], b"[0"
            break
    entries = orjson.loads(before + text)
    yield entries[1:] if before != b"[" else entries


def _without_mark(start: bytes) -> bytes:
    return start.removeprefix(BOM_UTF8)


def _loaded(path: Path) -> Any:
    try:
        return orjson.loads(read_utf8(path))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: not a readable JSON file ({reason(error)})")
