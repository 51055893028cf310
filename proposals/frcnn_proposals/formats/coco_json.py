"""COCO json: results, or a file of images and annotations; boxes or masks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.formats.base import Parsed, ToWrite, WritableFormat
from frcnn_proposals.formats.containers.masks import Extent, mask_extent
from frcnn_proposals.formats.containers.tables import BoxRows, tables_of_rows
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout, to_layout
from frcnn_proposals.image_ids import repeated_ids
from frcnn_proposals.images import image_size

_LAYOUT = BoxLayout("xywh", 0)


class CocoJson(WritableFormat):
    """cocodataset.org's formats: image_id, bbox x, y, width, height (or a segmentation), score.

    Writes the kind with images and annotations, in one category, which FiftyOne, supervision and
    pycocotools can read.
    """

    name = "coco"
    title = "COCO json (results, or images and annotations; bbox or segmentation)"
    layouts = (_LAYOUT,)

    def parse(self, content: Content) -> Parsed | None:
        value = content.of("json")
        names: dict[Any, str] | None = None
        if isinstance(value, dict) and {"images", "annotations"} <= set(value):
            names, value = _names(content.path, value["images"]), value["annotations"]
        if not isinstance(value, list) or (names is None and not value):
            return None
        if not all(isinstance(entry, dict) and "image_id" in entry for entry in value):
            return None
        of_image: dict[str | int, BoxRows] = {name: BoxRows() for name in (names or {}).values()}
        for place, entry in enumerate(value):
            where = f"{content.path}: entry {place}"
            box = _box(where, entry)
            if box is not None:
                name = _id(where, entry, names)
                of_image.setdefault(name, BoxRows()).add(*box)
        return Parsed(*tables_of_rows(of_image), list(of_image))

    def write(self, content: ToWrite, file: BinaryIO) -> None:
        import orjson

        images = [_image(content, number, name) for number, name in enumerate(content.ids, 1)]
        head = {"images": images, "categories": [{"id": 1, "name": "object"}]}
        file.write(orjson.dumps(head)[:-1] + b',"annotations":[')
        written = 0
        for number, name in enumerate(content.ids, start=1):
            entries = _annotations(content.proposals[name], number, written)
            if entries:
                file.write(b"," * (written > 0) + orjson.dumps(entries)[1:-1])
                written += len(entries)
        file.write(b"]}")


def _names(path: Path, images: Any) -> dict[Any, str]:
    """File names by the numbers of the images. A number or a name that repeats is an error."""
    names: dict[Any, str] = {}
    for entry in images if isinstance(images, list) else [None]:
        name = entry.get("file_name") if isinstance(entry, dict) else None
        number = entry.get("id") if isinstance(entry, dict) else None
        if (
            type(number) not in (int, str)
            or not isinstance(name, str)
            or not PurePosixPath(name).name
        ):
            raise InputError(f"{path}: an image has no valid id or file_name")
        if number in names:
            raise InputError(
                f"{path}: two images have the id {number!r}: {names[number]} and {name}"
            )
        names[number] = name
    repeated = sorted(repeated_ids(names.values()))
    if repeated:
        raise InputError(f"{path}: more than one image has the file_name {repeated[0]}")
    return names


def _id(where: str, entry: Mapping[str, Any], names: Mapping[Any, str] | None) -> str | int:
    number = entry["image_id"]
    if type(number) not in (int, str) or (names is not None and number not in names):
        raise InputError(f"{where}: image_id {str(number)[:40]!r} is not among its images")
    return number if names is None else names[number]


def _box(where: str, entry: Mapping[str, Any]) -> tuple[Extent, float | None] | None:
    """x, y, width, height and the score of an entry; None for a mask without pixels."""
    score = entry.get("score")
    if score is not None and type(score) not in (int, float):
        raise InputError(f"{where}: its score is not a number")
    try:
        bbox = entry.get("bbox")
        extent = mask_extent(entry.get("segmentation")) if not bbox else _four(bbox)
    except ValueError as error:
        raise InputError(f"{where}: {reason(error)}") from error
    return None if extent is None else (extent, None if score is None else float(score))


def _four(bbox: Any) -> Extent:
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError("its bbox is not x, y, width and height")
    numbers = all(type(value) in (int, float) for value in bbox)
    if not numbers or not all(map(math.isfinite, bbox)):
        raise ValueError("its bbox contains a value that is not a finite number")
    x, y, width, height = map(float, bbox)
    return x, y, width, height


def _image(content: ToWrite, number: int, image_id: str) -> dict[str, Any]:
    path = content.path_of(image_id, "COCO json contains the names and sizes of the images")
    width, height = image_size(path)
    has_suffix = PurePosixPath(image_id).name == path.name  # another image differs only in it
    name = image_id if has_suffix else f"{image_id}{path.suffix}"
    return {"id": number, "file_name": name, "width": width, "height": height}


def _annotations(proposals: Proposals, image: int, written: int) -> list[dict[str, Any]]:
    scores = None if proposals.scores is None else proposals.scores.tolist()
    entries = []
    for index, bbox in enumerate(to_layout(proposals.boxes, _LAYOUT).tolist()):
        entry = {
            "id": written + index + 1,
            "image_id": image,
            "category_id": 1,
            "bbox": bbox,
            "area": bbox[2] * bbox[3],
            "iscrowd": 0,
        }
        entries.append(entry if scores is None else {**entry, "score": scores[index]})
    return entries
