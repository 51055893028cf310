"""Pickled lists of tables in the order of the images, without image ids."""

from __future__ import annotations

import pickle
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.formats.base import Parsed, ToWrite, WritableFormat
from frcnn_proposals.formats.containers.tables import list_of_tables, split_scores
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout, table_of


class Mmdet2Pkl(WritableFormat):
    """open-mmlab/mmdetection 2.x mmdet/datasets/custom.py; in N x 5 the score is last.

    MMDetection 1 wrote the same lists with inclusive corners.
    """

    name = "mmdet2"
    title = "MMDetection 2 .pkl (list of N x 4 or N x 5)"
    layouts = (BoxLayout("xyxy", 0, continuous=True),)
    needs_order = True

    def parse(self, content: Content) -> Parsed | None:
        tables = _tables(content, columns=(4, 5))
        if tables is None:
            return None
        boxes, scores = split_scores(tables)
        if scores is None and any(table.shape[1] != 4 for table in tables):
            return None
        return Parsed(boxes, scores)

    def write(self, content: ToWrite, file: BinaryIO) -> None:
        entries = content.entries
        scored = all(entry.scores is not None for entry in entries if len(entry))
        tables = []
        for entry in entries:
            table = table_of(entry.boxes, self.layouts[0])
            if scored and entry.scores is not None:
                table = np.column_stack((table, entry.scores))
            tables.append(table)
        pickle.dump(tables, file, protocol=4)


class PyFasterRcnnPkl:
    """rbgirshick/py-faster-rcnn lib/datasets/pascal_voc.py, rpn_roidb."""

    name = "py-faster-rcnn"
    title = "py-faster-rcnn rpn .pkl (list of N x 4)"
    layouts = (BoxLayout("xyxy", 0),)

    def parse(self, content: Content) -> Parsed | None:
        boxes = _tables(content)
        return None if boxes is None else Parsed(boxes)


def _tables(content: Content, columns: tuple[int, ...] = (4,)) -> list[NDArray[Any]] | None:
    value = content.of("pickle")
    return list_of_tables(value, columns) if isinstance(value, list) and value else None
