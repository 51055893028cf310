"""Detectron's .pkl: parallel lists of boxes, scores and whole-number image ids."""

from __future__ import annotations

import pickle
import re
from typing import BinaryIO

import numpy as np

from frcnn_proposals.errors import MisuseError
from frcnn_proposals.formats.base import Parsed, ToWrite
from frcnn_proposals.formats.containers.tables import list_of_ids, list_of_rows, list_of_tables
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout


class DetectronPkl:
    """facebookresearch/Detectron tools/convert_selective_search.py, which writes scores of 0
    where there are none. PCL and wetectron read the same.
    """

    name = "detectron"
    title = "Detectron .pkl (boxes, scores, indexes or ids)"
    layouts = (BoxLayout("xyxy", 0),)
    needs_order = False

    def parse(self, content: Content) -> Parsed | None:
        value = content.value
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
        entries = [content.proposals[image_id] for image_id in content.ids]
        zeros = [np.zeros(len(entry), np.float32) for entry in entries]
        value = {
            "boxes": [entry.boxes for entry in entries],
            "scores": [
                zero if entry.scores is None else entry.scores
                for entry, zero in zip(entries, zeros, strict=True)
            ],
            "indexes": [whole_number_id(image_id) for image_id in content.ids],
        }
        pickle.dump(value, file, protocol=2)


def whole_number_id(image_id: str) -> int:
    """000012 becomes 12, VOC2012's 2008_000002 becomes 2008000002.

    Raises MisuseError on an id that is no such number.
    """
    if not re.fullmatch(r"[0-9]+(_[0-9]+)*", image_id):
        raise MisuseError(
            f"Detectron's files have whole numbers for image ids, which {image_id!r} is not; "
            "write another format, such as detectron2"
        )
    return int(image_id.replace("_", ""))
