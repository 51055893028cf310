"""Inspect a proposal file: its format, its content, and how certain the format is."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.formats.base import Parsed
from frcnn_proposals.formats.content import kind_of, load_content
from frcnn_proposals.formats.folder import box_files, spread
from frcnn_proposals.formats.interpret import Hints, ImageSize, Reading, check_readings, sound_ways
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import open_store

Table = tuple[NDArray[Any], NDArray[Any] | None]  # boxes (N, 4) as the file has them, scores (N,)
# Number of images that are read from a larger store.
_STORE_SAMPLE = 2000


@dataclass(frozen=True)
class Survey:
    """Ranges over the tables that were read, in the file's own columns and base."""

    tables: int
    boxes: int
    fewest: int
    most: int
    lowest: tuple[float, ...] = ()
    highest: tuple[float, ...] = ()
    scores: tuple[float, float] | None = None


@dataclass(frozen=True)
class Verdict:
    """A format whose structure the file has. fault: the reason why it is not this format."""

    format: str
    layout: str
    fault: str | None = None


@dataclass(frozen=True)
class Inspection:
    """The result of an inspection.

    certainty: how certain the format is, in words. decided: whether the file can be read without
    options. images: number of images in the file. survey: covers the images that were read.
    """

    path: Path
    format: str
    decided: bool
    certainty: str
    images: int
    ids: str
    survey: Survey
    verdicts: tuple[Verdict, ...] = ()
    remarks: tuple[str, ...] = ()
    provenance: Provenance | None = None
    failures: tuple[tuple[str, str], ...] = ()


def inspect_proposals(
    path: str | Path, hints: Hints | None = None, size_of: ImageSize | None = None
) -> Inspection:
    """Inspect a proposal file or folder. Raises InputError if it is not one."""
    path = Path(path)
    kind = kind_of(path)
    if kind == "store":
        return _inspect_store(path)
    files = box_files(path) if kind == "folder" else [path]
    contents = [load_content(file) for file in spread(files)]
    ways = check_readings(contents, hints or Hints(), size_of)
    sound = sound_ways(ways)
    readings = (sound or ways)[0]
    layouts = {way[0].layout for way in sound}
    decided = len(layouts) == 1
    names = list(dict.fromkeys(way[0].format.name for way in sound))
    parsed = [reading.parsed for reading in readings]
    tables = [table for file in parsed for table in _tables(file)]
    remarks = list(dict.fromkeys(remark for file in parsed for remark in file.remarks))
    if len(contents) < len(files):
        remarks.append(f"{len(contents)} of {len(files)} files were read")
    ids = parsed[0].ids
    if ids is not None and len(contents) > 1:
        ids = [file.ids[0] for file in parsed if file.ids]
    return Inspection(
        path,
        " or ".join(names) if names else "none",
        decided,
        _certainty(ways, sound),
        len(files) if len(contents) > 1 else len(parsed[0].boxes),
        _describe_ids(ids),
        _survey(tables),
        tuple(_verdict(way) for way in ways),
        tuple(remarks),
    )


def _certainty(ways: list[list[Reading]], sound: list[list[Reading]]) -> str:
    if not sound:
        return "invalid: its boxes do not fit any format whose structure it has"
    layouts = {way[0].layout for way in sound}
    if len(layouts) > 1:
        return "undecided: the file fits several formats; choose one (--from, --order, --base)"
    if len(ways) == 1:
        return "certain: no other format has this structure, and the boxes fit its order and base"
    if len(sound) < len(ways):
        return "by elimination: its boxes do not fit the other formats with this structure"
    return "certain for the boxes: they are the same in each of these formats"


def _verdict(way: list[Reading]) -> Verdict:
    fault = next((reading.fault for reading in way if reading.fault is not None), None)
    return Verdict(way[0].format.name, str(way[0].layout), fault)


def _inspect_store(path: Path) -> Inspection:
    store = open_store(path)
    step = max(1, len(store) // _STORE_SAMPLE)
    ids = list(itertools.islice(store.ids(), 5))
    entries = (store[image_id] for image_id in itertools.islice(store.ids(), 0, None, step))
    survey = _survey((entry.boxes, entry.scores) for entry in entries)
    remarks = (f"{survey.tables} of {len(store)} images were read",) if step > 1 else ()
    return Inspection(
        path,
        "store",
        True,
        "certain: the file states it",
        len(store),
        _describe_ids(ids, len(store)),
        survey,
        remarks=remarks,
        provenance=store.provenance,
        failures=tuple(store.failures()),
    )


def _tables(parsed: Parsed) -> Iterable[Table]:
    if parsed.scores is None:
        return [(table, None) for table in parsed.boxes]
    return zip(parsed.boxes, parsed.scores, strict=True)


def _survey(tables: Iterable[Table]) -> Survey:
    lengths: list[int] = []
    lows, highs, score_ends = [], [], []
    for boxes, scores in tables:
        lengths.append(len(boxes))
        if len(boxes):
            lows.append(boxes.min(axis=0))
            highs.append(boxes.max(axis=0))
        if scores is not None and len(scores):
            score_ends += [float(scores.min()), float(scores.max())]
    return Survey(
        len(lengths),
        sum(lengths),
        min(lengths, default=0),
        max(lengths, default=0),
        tuple(map(float, np.min(lows, axis=0))) if lows else (),
        tuple(map(float, np.max(highs, axis=0))) if highs else (),
        (min(score_ends), max(score_ends)) if score_ends else None,
    )


def _describe_ids(ids: Iterable[str | int] | None, count: int | None = None) -> str:
    if ids is None:
        return "none: the tables are in the order of an image list, which is needed to read them"
    found = list(ids)
    if not found:
        return "none: the file is empty"
    kind = "whole numbers" if all(isinstance(image_id, int) for image_id in found) else "names"
    more = ", ..." if (count or len(found)) > 5 else ""
    return f"{kind}: {', '.join(map(str, found[:5]))}{more}"
