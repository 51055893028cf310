"""Inspect a proposal file: its format, its content, and how certain the format is."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.base import best_first
from frcnn_proposals.checks import check_proposals
from frcnn_proposals.formats.base import Parsed
from frcnn_proposals.formats.content import kind_of, load_content
from frcnn_proposals.formats.folder import box_files, spread
from frcnn_proposals.formats.ids import Images, ImageSize, ids_if_known
from frcnn_proposals.formats.interpret import Hints, Reading, check_readings, sound_ways
from frcnn_proposals.formats.known import STATED
from frcnn_proposals.formats.read import RecordedProposals, open_stated
from frcnn_proposals.image_ids import match_ids
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.wording import counted, some_of

Table = tuple[NDArray[Any], NDArray[Any] | None]  # boxes (N, 4) as the file has them, scores (N,)
# Number of images that are read from a larger store.
_STORE_SAMPLE = 2000


@dataclass(frozen=True)
class Survey:
    """Ranges over the tables that were read, in the file's own columns and base.

    order: the order in which the boxes of an image are read.
    """

    tables: int
    boxes: int
    fewest: int
    most: int
    lowest: tuple[float, ...] = ()
    highest: tuple[float, ...] = ()
    scores: tuple[float, float] | None = None
    order: str = ""


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
    path: str | Path,
    hints: Hints | None = None,
    image_ids: Collection[str] | None = None,
    size_of: ImageSize | None = None,
) -> Inspection:
    """Inspect a proposal file or folder. Raises InputError if it is not one.

    image_ids, size_of: the images that the boxes are checked against; a set if their order is not
    known.
    """
    path, images = Path(path), Images(image_ids, size_of)
    kind = kind_of(path)
    if kind in STATED:
        return _inspect_stated(path, kind, images)
    files = box_files(path) if kind == "folder" else [path]
    contents = [load_content(file, path if kind == "folder" else None) for file in spread(files)]
    ways = check_readings(contents, hints or Hints(), images)
    sound = sound_ways(ways)
    readings = (sound or ways)[0]
    layouts = {way[0].layout for way in sound}
    decided = len(layouts) == 1
    names = list(dict.fromkeys(way[0].format.name for way in sound))
    parsed = [reading.parsed for reading in readings]
    tables = (table for file in parsed for table in _tables(file))
    remarks = list(dict.fromkeys(remark for file in parsed for remark in file.remarks))
    if len(contents) < len(files):
        remarks.append(f"{some_of(len(contents), len(files), 'file', 'was', 'were')} read")
    ids = _ids_of(parsed, images)
    remarks += _unmatched(ids, images)
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


def _inspect_stated(path: Path, kind: str, images: Images) -> Inspection:
    store = open_stated(path)
    step = max(1, len(store) // _STORE_SAMPLE)
    ids = list(itertools.islice(store, 0, None, step))
    faults: list[str] = []
    survey = _survey(_tables_of_store(store, ids, images, faults))
    read = some_of(survey.tables, len(store), "image", "was", "were")
    remarks = [f"{read} read"] if step > 1 else []
    if faults:
        images_have_boxes = counted(len(faults), "image has boxes", "images have boxes")
        remarks.append(f"{images_have_boxes} outside the image; {faults[0]}")
    remarks += _unmatched(ids, images)
    return Inspection(
        path,
        kind,
        True,
        f"certain: the {'file' if path.is_file() else 'folder'} states it",
        len(store),
        _describe_ids(ids),
        survey,
        remarks=tuple(remarks),
        provenance=store.provenance,
        failures=tuple(store.failures()),
    )


def _tables_of_store(
    store: RecordedProposals, ids: Sequence[str], images: Images, faults: list[str]
) -> Iterator[Table]:
    """The tables of these images. Boxes outside an image are added to `faults`."""
    for image_id in ids:
        entry = store[image_id]
        try:
            check_proposals(entry, *(images.size(image_id) or (None, None)))
        except ValueError as error:
            faults.append(f"image {image_id}: {error}")
        yield entry.boxes, entry.scores


def _ids_of(files: Sequence[Parsed], images: Images) -> list[str | int] | None:
    """The ids in the files as they are read; whole numbers if all of them are and stay so."""
    read = [image_id for ids in ids_if_known(files, images) for image_id in ids or ()]
    found = [image_id for parsed in files for image_id in parsed.ids or ()]
    if any(parsed.ids is None for parsed in files):
        return None
    return found if list(map(str, found)) == read else list(read)


def _unmatched(ids: Sequence[str | int] | None, images: Images) -> list[str]:
    """A remark on the ids that are not among the images, whose boxes are not checked."""
    if images.ids is None:
        return []
    if ids is None:
        return [] if images.in_order else ["without ids, its boxes were not checked against images"]
    match = match_ids(dict.fromkeys(map(str, ids)), list(images.ids))
    unmatched = replace(match, missing=()).describe()
    return [f"{unmatched}; their boxes were not checked"] if unmatched else []


def _tables(parsed: Parsed) -> Iterable[Table]:
    if parsed.scores is None:
        return [(table, None) for table in parsed.boxes]
    return zip(parsed.boxes, parsed.scores, strict=True)


def _survey(tables: Iterable[Table]) -> Survey:
    lengths: list[int] = []
    lows, highs, score_ends = [], [], []
    scored = unsorted = 0
    for boxes, scores in tables:
        lengths.append(len(boxes))
        scored += scores is not None
        unsorted += best_first(boxes, scores)[1] is not scores
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
        _order(scored, unsorted),
    )


def _order(scored: int, unsorted: int) -> str:
    if not scored:
        return "as in the file, which has no scores"
    if not unsorted:
        return "by score, best first"
    others = some_of(unsorted, scored, "image", "has", "have")
    return f"by score, best first; {others} another order in the file"


def _describe_ids(ids: Sequence[str | int] | None) -> str:
    if ids is None:
        return "none: the tables are in the order of an image list, which is needed to read them"
    if not ids:
        return "none: the file is empty"
    kind = "whole numbers" if all(isinstance(image_id, int) for image_id in ids) else "names"
    more = ", ..." if len(ids) > 5 else ""
    return f"{kind}: {', '.join(map(str, ids[:5]))}{more}"
