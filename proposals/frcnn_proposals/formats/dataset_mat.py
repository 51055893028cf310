"""The .mat files of many images: a cell array with one table of boxes per image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from frcnn_proposals.formats.base import Parsed, ToWrite, WritableFormat
from frcnn_proposals.formats.containers.tables import all_found, cells, columns_of, tables, texts
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout, to_layout


class FastRcnnMat(WritableFormat):
    """rbgirshick/fast-rcnn lib/datasets/pascal_voc.py, rbgirshick/rcnn imdb/roidb_from_voc.m."""

    name = "fast-rcnn-mat"
    title = "Fast R-CNN dataset .mat (cells boxes, images)"
    layouts = (BoxLayout("yxyx", 1),)

    def parse(self, content: Content) -> Parsed | None:
        variables = content.variables
        boxes = tables(variables.get("boxes"))
        if boxes is None or "boxScores" in variables or "num_candidates" in variables:
            return None
        return Parsed(boxes, ids=_ids(variables, len(boxes)))

    def write(self, content: ToWrite, file: BinaryIO) -> None:
        import scipy.io

        boxes = np.empty((1, len(content.ids)), object)
        images = np.empty((len(content.ids), 1), object)
        for index, image_id in enumerate(content.ids):
            boxes[0, index] = to_layout(content.proposals[image_id].boxes, self.layouts[0])
            images[index, 0] = image_id
        scipy.io.savemat(file, {"boxes": boxes, "images": images}, do_compression=True)


class WsddnMat:
    """hbilen/WSDDN pascal/setup_voc07_eb.m, for EdgeBoxes and selective search."""

    name = "wsddn-mat"
    title = "WSDDN .mat (cells images, boxes, boxScores)"
    layouts = (BoxLayout("yxyx", 1),)

    def parse(self, content: Content) -> Parsed | None:
        boxes = tables(content.variables.get("boxes"))
        rows = cells(content.variables.get("boxScores"))
        if boxes is None or rows is None or len(rows) != len(boxes):
            return None
        scores = all_found(columns_of(row, len(of)) for row, of in zip(rows, boxes, strict=True))
        return Parsed(boxes, scores, _ids(content.variables, len(boxes)))


class SergeykMat:
    """sergeyk/selective_search_ijcv_with_python. One version subtracts 1, another does not."""

    name = "sergeyk-mat"
    title = "selective_search_ijcv_with_python .mat (cell all_boxes)"
    layouts = (BoxLayout("yxyx", 0), BoxLayout("yxyx", 1))

    def parse(self, content: Content) -> Parsed | None:
        boxes = tables(content.variables.get("all_boxes"))
        return None if boxes is None else Parsed(boxes)


def _ids(variables: Mapping[str, Any], count: int) -> list[str] | None:
    """The ids in the cell array `images`, if there is one for each of the `count` tables."""
    ids = texts(variables.get("images"))
    return ids if ids and len(ids) == count else None
