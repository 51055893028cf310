"""One YOLO label file: lines of `class x y width height`, the centre and size as fractions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frcnn_cli.engine.datasets.extents import Box, inclusive_box
from frcnn_cli.engine.datasets.layout import LONGEST_NAME, LONGEST_PATH, Fault, Report, split_of
from frcnn_cli.engine.datasets.lists import read_lines
from frcnn_cli.engine.records import GroundTruth
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.files import is_writable
from frcnn_proposals.reading import open_file


def read_labels(path: Path, classes: int, size: tuple[int, int], report: Report) -> GroundTruth:
    """The objects of an image of `size` (width, height). Class numbers count from 0.

    A line of more than five numbers is a polygon (class x1 y1 x2 y2 ...), taken by its extent.
    """
    boxes, labels = [], []
    try:
        lines = read_lines(path)
    except InputError as error:
        report(Fault(path, str(error).removeprefix(f"{path}: ")))
        return GroundTruth()
    for number, line in enumerate(lines, start=1):
        where = f"line {number}"
        try:
            label, extent = _object(line.split(), classes, size)
        except ValueError as error:
            report(Fault(path, f"{where}: {reason(error)}"))
            continue
        box = inclusive_box(path, where, extent, size, report)
        if box is not None:
            boxes.append(box)
            labels.append(label)
    count = len(boxes)
    return GroundTruth(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.zeros(count, bool),
    )


def _object(fields: list[str], classes: int, size: tuple[int, int]) -> tuple[int, Box]:
    """Label 1..K and x, y, width, height in pixels. Raises ValueError saying what is wrong."""
    try:
        values = [float(field) for field in fields]
    except ValueError:
        values = []
    polygon = len(values) >= 7 and len(values) % 2 == 1
    if not (len(values) == 5 or polygon) or not all(map(math.isfinite, values)):
        raise ValueError("expected `class x y width height`")
    if values[0] not in range(classes):
        raise ValueError(f"class {fields[0]} is not one of 0..{classes - 1}")
    if polygon:
        xs, ys = values[1::2], values[2::2]
        left, top = min(xs), min(ys)
        width, height = max(xs) - left, max(ys) - top
    else:
        x, y, width, height = values[1:]
        left, top = x - width / 2, y - height / 2
    columns, rows = size
    return int(values[0]) + 1, (left * columns, top * rows, width * columns, height * rows)


_MAX_BYTES = 1 << 18


@dataclass(frozen=True)
class YoloDescription:
    """classes in order of number; places: split -> folders of pictures or lists of them."""

    classes: tuple[str, ...]
    places: dict[str, list[Path]]


def read_description(path: Path) -> YoloDescription:
    """Raises InputError, naming the file, where it does not describe a data set or where there
    is no PyYAML to read it with."""
    try:
        # Only this layout needs it: not one of the toolkit's own dependencies.
        import yaml  # type: ignore[import-untyped]
    except ImportError as error:
        raise InputError(f"{path}: reading it needs PyYAML: pip install pyyaml") from error
    try:
        with open_file(path) as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise InputError(f"{path}: is larger than {_MAX_BYTES >> 10} KiB, as none need be")
        content = yaml.load(text, _loader())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a readable yaml file ({reason(error)})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected names, train and val")
    base = path.parent / _place(path, content.get("path") or ".")
    places = {
        split: [_resolve(path, base, _place(path, place)) for place in _as_list(value)]
        for key, value in content.items()
        if value and isinstance(key, str) and (split := split_of(key))
    }
    if not places:
        raise InputError(f"{path}: it names no train, val or test")
    return YoloDescription(_classes(path, content.get("names")), places)


def _loader() -> Any:
    """yaml's safe loader without `<<`, by which a few lines make it merge without end."""
    import yaml

    class Loader(yaml.SafeLoader):
        def flatten_mapping(self, node: Any) -> None:
            if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
                raise yaml.YAMLError("it merges tables by <<, which no data set needs")

    return Loader


def _classes(path: Path, names: Any) -> tuple[str, ...]:
    """From a list, or from a map of number to name."""
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise InputError(f"{path}: names should list the classes, or map 0, 1, ... to them")
    classes = tuple(_text(path, name) for name in names)
    if len(set(classes)) < len(classes):
        raise InputError(f"{path}: names holds a class twice")
    return classes


def _text(path: Path, value: Any) -> str:
    """A name as text. (A few lines of yaml can make lists of lists whose text is endless.)"""
    if isinstance(value, list | dict | set | tuple):
        raise InputError(f"{path}: a list where a name belongs")
    if isinstance(value, int) and value.bit_length() > 64:
        raise InputError(f"{path}: a number of more than 64 bits where a name belongs")
    text = str(value)
    if len(text.splitlines()) > 1:
        raise InputError(f"{path}: a text of several lines where a name belongs")
    if not is_writable(text):
        raise InputError(f"{path}: a name in it is no text that can be written")
    return text


def _place(path: Path, value: Any) -> str:
    """A path as text, of names that a system can have."""
    place = _text(path, value)
    lengths = [len(name.encode(errors="replace")) for name in Path(place).parts]
    if sum(lengths) > LONGEST_PATH or any(length > LONGEST_NAME for length in lengths):
        raise InputError(f"{path}: a path longer than any system's")
    return place


def _resolve(path: Path, base: Path, place: str) -> Path:
    """Where a split is: under `path:`, beside the yaml, or, as some exports write it, at
    ../train/images where train/images is meant."""
    candidates = [base / place, path.parent / place, path.parent / place.removeprefix("../")]
    return next((candidate for candidate in candidates if candidate.exists()), candidates[0])


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
