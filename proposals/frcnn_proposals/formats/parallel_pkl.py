"""Pickled dicts of parallel lists: ids, boxes and scores."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.errors import MisuseError
from frcnn_proposals.formats.base import Parsed, ToWrite, WritableFormat
from frcnn_proposals.formats.containers.tables import list_of_ids, list_of_rows, list_of_tables
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.ids import whole_number
from frcnn_proposals.formats.layout import BoxLayout, table_of

_XYXY_ABS, _XYWH_ABS = 0, 1


class DetectronPkl(WritableFormat):
    """facebookresearch/Detectron tools/convert_selective_search.py.

    It writes scores of 0 for boxes without scores. PCL and wetectron read the same format. Ids are
    whole numbers.
    """

    name = "detectron"
    title = "Detectron .pkl (boxes, scores, indexes or ids)"
    layouts = (BoxLayout("xyxy", 0),)

    def parse(self, content: Content) -> Parsed | None:
        value = content.of("pickle")
        if not isinstance(value, dict) or "boxes" not in value or "objectness_logits" in value:
            return None
        boxes = list_of_tables(value["boxes"])
        if boxes is None:
            return None
        ids = list_of_ids(value.get("indexes", value.get("ids")), len(boxes))
        if ids is None:
            return None
        scores = list_of_rows(value.get("scores"), boxes)
        if scores is not None and not any(row.any() for row in scores):
            scores = None
        return Parsed(boxes, scores, ids)

    def write(self, content: ToWrite, file: BinaryIO) -> None:
        entries = content.entries
        numbers = [_whole_number_id(image_id) for image_id in content.ids]
        repeated = next((number for number, times in Counter(numbers).items() if times > 1), None)
        if repeated is not None:
            raise MisuseError(
                f"image ids in Detectron's files are whole numbers, and two images are {repeated}; "
                "use another format, such as detectron2"
            )
        value = {
            "boxes": [entry.boxes for entry in entries],
            "scores": [
                np.zeros(len(entry), np.float32) if entry.scores is None else entry.scores
                for entry in entries
            ],
            "indexes": numbers,
        }
        pickle.dump(value, file, protocol=2)


class Detectron2Pkl(WritableFormat):
    """facebookresearch/detectron2 detectron2/data/build.py, load_proposals_into_dataset.

    Detectron2 sorts boxes by the logits, so boxes without scores get the logits 0, -1, -2, ...,
    which keep their order. Exactly such logits are read as no scores.
    """

    name = "detectron2"
    title = "Detectron2 .pkl (ids, boxes, objectness_logits)"
    layouts = (BoxLayout("xyxy", 0, continuous=True),)

    def parse(self, content: Content) -> Parsed | None:
        value = content.of("pickle")
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
        # With x and w the last pixel is x + w - 1 in both conventions.
        layout = BoxLayout("xywh", 0) if mode == _XYWH_ABS else self.layouts[0]
        return Parsed(boxes, scores, ids, layout)

    def write(self, content: ToWrite, file: BinaryIO) -> None:
        entries = content.entries
        value = {
            "ids": list(content.ids),
            "boxes": [table_of(entry.boxes, self.layouts[0]) for entry in entries],
            "objectness_logits": [
                _order(len(entry)) if entry.scores is None else entry.scores for entry in entries
            ],
            "bbox_mode": _XYXY_ABS,
        }
        pickle.dump(value, file, protocol=4)


def _whole_number_id(image_id: str) -> int:
    """The number of an image id (see whole_number). Raises MisuseError if it has none."""
    number = whole_number(image_id)
    if number is None:
        raise MisuseError(
            f"image ids in Detectron's files are whole numbers, but {image_id!r} is not; "
            "use another format, such as detectron2"
        )
    return number


def _order(count: int) -> NDArray[np.float32]:
    return -np.arange(count, dtype=np.float32)
