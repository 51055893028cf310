"""Determine the format of a file and the layout of its boxes, by checks and not by guesses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.checks import TOLERANCE
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.base import Format, Parsed
from frcnn_proposals.formats.containers.tables import all_found
from frcnn_proposals.formats.content import Content, describe
from frcnn_proposals.formats.ids import Images, ids_if_known, image_ids_of
from frcnn_proposals.formats.known import FORMATS, format_named
from frcnn_proposals.formats.layout import BoxLayout, Corners, Order, from_layout

_Sizes = list[tuple[str, tuple[int, int] | None]]  # image id, and (width, height)


@dataclass(frozen=True)
class Hints:
    """What the user states about a file: its format, its column order, its base, its corners."""

    format: str | None = None
    order: Order | None = None
    base: int | None = None
    corners: Corners | None = None


@dataclass(frozen=True)
class Reading:
    """One way to read a file. fault: the reason why the file cannot be read this way."""

    format: Format
    parsed: Parsed
    layout: BoxLayout
    fault: str | None


def check_readings(
    contents: Sequence[Content], hints: Hints, images: Images
) -> list[list[Reading]]:
    """All ways to read these files, of one format, that fit the hints; a Reading per way and file.

    Raises InputError if the files do not have the structure of any (or the given) format.
    """
    formats = FORMATS if hints.format is None else (format_named(hints.format),)
    ways, fitting = [], []
    for format in formats:
        files = all_found(format.parse(content) for content in contents)
        if files is None:
            continue
        fitting.append(format.name)
        sizes = [_sizes_of(ids, images) for ids in ids_if_known(files, images)]
        layouts = format.layouts if files[0].layout is None else (files[0].layout,)
        for layout in _hinted(layouts, hints, named=hints.format is not None):
            faults = [_fault_of_file(*pair, layout) for pair in zip(files, sizes, strict=True)]
            pairs = zip(files, faults, strict=True)
            ways.append([Reading(format, parsed, layout, fault) for parsed, fault in pairs])
    if not ways:
        raise InputError(_no_format(contents[0], hints, fitting))
    return ways


def sound_ways(ways: list[list[Reading]]) -> list[list[Reading]]:
    """The ways without a fault."""
    return [way for way in ways if all(reading.fault is None for reading in way)]


def decide(contents: Sequence[Content], hints: Hints, images: Images) -> list[Reading]:
    """The only way to read these files without a fault.

    Raises InputError if there is none, or if several ways would return different boxes. The message
    then names them and the options to choose one.
    """
    ways = check_readings(contents, hints, images)
    sound = sound_ways(ways)
    path = contents[0].path
    if not sound:
        faults = {
            f"as {reading.format.name} ({reading.layout}): {reading.fault}": None
            for way in ways
            for reading in way
            if reading.fault is not None
        }
        raise InputError(f"{path}: its boxes are invalid " + "; ".join(list(faults)[:3]))
    if len({way[0].layout for way in sound}) > 1:
        image_ids_of(path, sound[0][0].parsed, images)  # a missing image list comes first
        names = "; ".join(f"{way[0].format.name} ({way[0].layout})" for way in sound)
        raise InputError(
            f"{path}: it fits several formats: {names}.\n"
            "Choose the format, or the order, base and corners of its boxes: `--from`, `--order`, "
            "`--base` and `--corners` of `frcnn proposals convert`."
        )
    return sound[0]


def _hinted(layouts: Sequence[BoxLayout], hints: Hints, named: bool) -> list[BoxLayout]:
    """The layouts that fit the hints.

    If the user named the format, the hints are used even if the format has no such layout.
    """
    fitting = [
        layout
        for layout in layouts
        if hints.order in (None, layout.order)
        and hints.base in (None, layout.base)
        and hints.corners in (None, layout.corners)
    ]
    if fitting or not named:
        return fitting
    own = layouts[0]
    base = own.base if hints.base is None else hints.base
    corners = hints.corners or own.corners
    return [BoxLayout(hints.order or own.order, base, corners == "continuous")]


def _sizes_of(ids: Sequence[str] | None, images: Images) -> _Sizes | None:
    """Each image with its size, read once for all layouts; None if the images are not known."""
    return None if ids is None else [(image_id, images.size(image_id)) for image_id in ids]


def _fault_of_file(parsed: Parsed, sizes: _Sizes | None, layout: BoxLayout) -> str | None:
    """The first fault, and the table or image that has it."""
    if _is_normalised(parsed.boxes):
        return "all coordinates are from 0 to 1, as if divided by the image's size"
    for index, table in enumerate(parsed.boxes):
        owner, size = (f"table {index + 1}", None)
        if sizes is not None:
            owner, size = (f"image {sizes[index][0]}", sizes[index][1])
        fault = fault_of(table, layout, size)
        if fault is not None:
            return f"{owner}: {fault}"
    return None


def _is_normalised(tables: Sequence[NDArray[Any]]) -> bool:
    """Whether no coordinate is over 1, and some are fractions."""
    filled = [np.asarray(table, np.float64) for table in tables if len(table)]
    if not filled or not all((table <= 1).all() for table in filled):
        return False
    return any((table % 1 != 0).any() for table in filled)


def fault_of(
    table: NDArray[Any], layout: BoxLayout, size: tuple[int, int] | None = None
) -> str | None:
    """The reason why boxes (N, 4) cannot be in `layout`, for an image of `size`, or None."""
    if len(table) == 0:
        return None
    if not np.isfinite(np.asarray(table, np.float64)).all():
        return "a coordinate is not finite"
    boxes = from_layout(table, layout)
    if boxes[:, :2].min() < -TOLERANCE:
        lowest = float(boxes[:, :2].min()) + layout.base
        return f"a coordinate of {lowest:g} in {layout.base}-based boxes"
    if (boxes[:, 2:] < boxes[:, :2]).any():
        first = int(np.argmax((boxes[:, 2:] < boxes[:, :2]).any(axis=1)))
        return f"box {first} has x2 < x1 or y2 < y1"
    if size is not None:
        over = boxes[:, 2:].max(axis=0) - (size[0] - 1, size[1] - 1)
        if over.max() > TOLERANCE:
            return f"a box ends {over.max():g} pixels outside its image of {size[0]} x {size[1]}"
    return None


def _no_format(content: Content, hints: Hints, fitting: Sequence[str]) -> str:
    """fitting: formats whose structure the file has, but not the order, base and corners."""
    if fitting:
        return (
            f"{content.path}: has the structure of {', '.join(fitting)}, but another order, "
            "base or corners were given.\nTo read it with these, add its format with `--from`."
        )
    expected = "any known proposal format" if hints.format is None else hints.format
    fix = "See the formats in docs/proposal-formats.md, or in `frcnn proposals inspect --help`."
    return f"{content.path}: is not {expected}; it contains {describe(content)}.\n{fix}"
