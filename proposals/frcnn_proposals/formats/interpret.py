"""Which format a file is in and how its boxes are meant: checked, never guessed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.base import Format, Parsed
from frcnn_proposals.formats.containers.tables import all_found
from frcnn_proposals.formats.content import Content, describe
from frcnn_proposals.formats.known import FORMATS, format_named
from frcnn_proposals.formats.layout import BoxLayout, Order, from_layout

ImageSize = Callable[[str], tuple[int, int] | None]  # id -> (width, height) in pixels
# As in checks.py: what float32 loses.
_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Hints:
    """What the user says of a file: its format, its column order, its base."""

    format: str | None = None
    order: Order | None = None
    base: int | None = None


@dataclass(frozen=True)
class Reading:
    """One way to read a file. fault: why the file cannot be read this way."""

    format: Format
    parsed: Parsed
    layout: BoxLayout
    fault: str | None


def check_readings(
    contents: Sequence[Content], hints: Hints, size_of: ImageSize | None = None
) -> list[list[Reading]]:
    """Every way to read these files of one format that fits the hints: a list of ways, each
    with a Reading a file. Raises InputError where the files are built like no (such) format.
    """
    formats = FORMATS if hints.format is None else (format_named(hints.format),)
    ways = []
    for format in formats:
        files = all_found(format.parse(content) for content in contents)
        if files is None:
            continue
        layouts = format.layouts if files[0].layout is None else (files[0].layout,)
        for layout in _hinted(layouts, hints, named=hints.format is not None):
            faults = [_fault_of_file(parsed, layout, size_of) for parsed in files]
            pairs = zip(files, faults, strict=True)
            ways.append([Reading(format, parsed, layout, fault) for parsed, fault in pairs])
    if not ways:
        raise InputError(_no_format(contents[0], hints))
    return ways


def sound_ways(ways: list[list[Reading]]) -> list[list[Reading]]:
    """Those that nothing speaks against."""
    return [way for way in ways if all(reading.fault is None for reading in way)]


def decide(
    contents: Sequence[Content], hints: Hints, size_of: ImageSize | None = None
) -> list[Reading]:
    """The one way to read these files that nothing speaks against.

    Raises InputError where there is none, or where ways remain that would give other boxes:
    with what distinguishes them and how to say which is meant.
    """
    ways = check_readings(contents, hints, size_of)
    sound = sound_ways(ways)
    path = contents[0].path
    if not sound:
        faults = {
            f"as {reading.format.name} ({reading.layout}): {reading.fault}": None
            for way in ways
            for reading in way
            if reading.fault is not None
        }
        raise InputError(f"{path}: its boxes cannot be right. " + "; ".join(list(faults)[:3]))
    if len({way[0].layout for way in sound}) > 1:
        names = "; ".join(f"{way[0].format.name} ({way[0].layout})" for way in sound)
        raise InputError(
            f"{path}: nothing in it says which of these it is: {names}.\n"
            "Name the format, or the order and base of its boxes (--from, --order, --base)"
        )
    return sound[0]


def _hinted(layouts: Sequence[BoxLayout], hints: Hints, named: bool) -> list[BoxLayout]:
    """The layouts that fit the hints. Of a format that was named, the hints are believed even
    where they are not among its own.
    """
    fitting = [
        layout
        for layout in layouts
        if hints.order in (None, layout.order) and hints.base in (None, layout.base)
    ]
    if fitting or not named:
        return fitting
    own = layouts[0]
    base = own.base if hints.base is None else hints.base
    return [BoxLayout(hints.order or own.order, base, own.continuous)]


def _fault_of_file(parsed: Parsed, layout: BoxLayout, size_of: ImageSize | None) -> str | None:
    """The first table's fault, and whose it is."""
    for index, table in enumerate(parsed.boxes):
        image_id = None if parsed.ids is None else str(parsed.ids[index])
        size = None if size_of is None or image_id is None else size_of(image_id)
        fault = fault_of(table, layout, size)
        if fault is not None:
            which = f"table {index + 1}" if image_id is None else f"image {image_id}"
            return f"{which}: {fault}"
    return None


def fault_of(
    table: NDArray[Any], layout: BoxLayout, size: tuple[int, int] | None = None
) -> str | None:
    """What speaks against boxes (N, 4) being written in `layout`, for an image of `size`."""
    if len(table) == 0:
        return None
    if not np.isfinite(np.asarray(table, np.float64)).all():
        return "a coordinate is not finite"
    boxes = from_layout(table, layout)
    if boxes[:, :2].min() < -_TOLERANCE:
        lowest = float(boxes[:, :2].min()) + layout.base
        return f"a coordinate of {lowest:g} in {layout.base}-based boxes"
    if (boxes[:, 2:] < boxes[:, :2]).any():
        first = int(np.argmax((boxes[:, 2:] < boxes[:, :2]).any(axis=1)))
        return f"box {first} is turned inside out"
    if size is not None:
        over = boxes[:, 2:].max(axis=0) - (size[0] - 1, size[1] - 1)
        if over.max() > _TOLERANCE:
            return f"a box ends {over.max():g} pixels outside its image of {size[0]} x {size[1]}"
    return None


def _no_format(content: Content, hints: Hints) -> str:
    wanted = "any known proposal format" if hints.format is None else hints.format
    if hints.format is None and (hints.order is not None or hints.base is not None):
        wanted += " with that order and base"
    return f"{content.path}: is not {wanted}; it holds {describe(content)}"
