"""Detectron2's .pkl: parallel lists of ids, boxes and objectness_logits, continuous corners."""

from __future__ import annotations

import pickle
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.base import Proposals
from frcnn_proposals.formats.base import Parsed, ToWrite
from frcnn_proposals.formats.containers.tables import list_of_ids, list_of_rows, list_of_tables
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout, to_layout

_XYXY_ABS, _XYWH_ABS = 0, 1


class Detectron2Pkl:
    """facebookresearch/detectron2 detectron2/data/build.py, load_proposals_into_dataset.

    It sorts by the logits, so that boxes without scores are written with 0, -1, -2 and so
    on: their order. Logits of exactly that kind are read as no scores.
    """

    name = "detectron2"
    title = "Detectron2 .pkl (ids, boxes, objectness_logits)"
    layouts = (BoxLayout("xyxy", 0, continuous=True),)
    needs_order = False

    def parse(self, content: Content) -> Parsed | None:
        value = content.value
        if not isinstance(value, dict) or "objectness_logits" not in value:
            return None
        boxes = list_of_tables(value.get("boxes"))
        mode = value.get("bbox_mode", _XYXY_ABS)
        if boxes is None or mode not in (_XYXY_ABS, _XYWH_ABS):
            return None
        ids = list_of_ids(value.get("ids"), len(boxes))
        scores = list_of_rows(value["objectness_logits"], boxes)
        if ids is None or scores is None:
            return None
        if all(np.array_equal(row, _order(len(row))) for row in scores):
            scores = None
        # The last pixel of x, w is x + w - 1, however the corner is counted.
        layout = BoxLayout("xywh", 0) if mode == _XYWH_ABS else self.layouts[0]
        return Parsed(boxes, scores, ids, layout)

    def write(self, content: ToWrite, file: BinaryIO) -> None:
        entries = [content.proposals[image_id] for image_id in content.ids]
        value = {
            "ids": list(content.ids),
            "boxes": [_rows(entry, self.layouts[0]) for entry in entries],
            "objectness_logits": [
                _order(len(entry)) if entry.scores is None else entry.scores for entry in entries
            ],
            "bbox_mode": _XYXY_ABS,
        }
        pickle.dump(value, file, protocol=4)


def _rows(entry: Proposals, layout: BoxLayout) -> NDArray[Any]:
    """float32 as others write it, unless adding 1 to a corner would lose part of a pixel."""
    rows = to_layout(entry.boxes, layout)
    single = rows.astype(np.float32)
    return single if np.array_equal(single, rows) else rows


def _order(count: int) -> NDArray[np.float32]:
    return -np.arange(count, dtype=np.float32)
