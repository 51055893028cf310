"""The output of segment-anything: a list of masks, one json file per image."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.formats.base import Parsed, PerImageFormat
from frcnn_proposals.formats.containers.masks import Extent, mask_extent
from frcnn_proposals.formats.containers.tables import BoxRows, tables_of_rows
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout

_SCORES = ("predicted_iou", "score")


class SamJson(PerImageFormat):
    """facebookresearch/segment-anything scripts/amg.py --convert-to-rle, and SA-1B's files.

    Boxes are computed from the masks, because the width in `bbox` is x2 - x1, one less than the
    width of the mask. Without a mask, the last pixel is x + width, y + height.
    """

    name = "sam"
    title = "segment-anything <id>.json (masks of one image)"
    layouts = (BoxLayout("xyxy", 0),)

    def parse(self, content: Content) -> Parsed | None:
        value, image_id = content.of("json"), self.id_of(content.name)
        if isinstance(value, dict) and isinstance(value.get("image"), dict):
            name = value["image"].get("file_name")
            image_id = PurePosixPath(name).name if isinstance(name, str) else image_id
            value = value.get("annotations")
        if not isinstance(value, list) or not all(map(_is_mask, value)):
            return None
        rows = BoxRows()
        for place, mask in enumerate(value):
            try:
                box = _box(mask)
            except (TypeError, ValueError) as error:
                raise InputError(f"{content.path}: mask {place}: {reason(error)}") from error
            if box is not None:
                rows.add(box, _score(mask))
        return Parsed(*tables_of_rows({image_id: rows}), [image_id])


def _is_mask(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and "image_id" not in value
        and ("segmentation" in value or "bbox" in value)
    )


def _box(mask: dict[str, Any]) -> Extent | None:
    """x1, y1, x2, y2; None for a mask without pixels."""
    if isinstance(mask.get("segmentation"), dict):
        extent = mask_extent(mask["segmentation"])
        if extent is None:
            return None
        x, y, width, height = extent
        return x, y, x + width - 1, y + height - 1
    bbox = mask.get("bbox")
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError("it has neither run lengths nor a bbox of four numbers")
    x, y, width, height = (float(value) for value in bbox)
    return x, y, x + width, y + height


def _score(mask: dict[str, Any]) -> float | None:
    found = next((mask[name] for name in _SCORES if type(mask.get(name)) in (int, float)), None)
    return None if found is None else float(found)
