"""MMDetection 2's .pkl: a list of tables, N x 4 or N x 5, in the order of the annotations."""

from __future__ import annotations

import pickle
from typing import BinaryIO

import numpy as np

from frcnn_proposals.formats.base import Parsed, ToWrite
from frcnn_proposals.formats.containers.tables import list_of_tables
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout


class Mmdet2Pkl:
    """open-mmlab/mmdetection 2.x mmdet/datasets/custom.py; in N x 5 the score is last."""

    name = "mmdet2"
    title = "MMDetection 2 .pkl (list of N x 4 or N x 5)"
    layouts = (BoxLayout("xyxy", 0),)
    needs_order = True

    def parse(self, content: Content) -> Parsed | None:
        if content.kind != "pickle" or not isinstance(content.value, list) or not content.value:
            return None
        tables = list_of_tables(content.value, columns=(4, 5))
        if tables is None:
            return None
        scored = all(table.shape[1] == 5 or len(table) == 0 for table in tables)
        scored = scored and any(len(table) for table in tables)
        if not scored and any(table.shape[1] != 4 for table in tables):
            return None
        scores = [table[:, 4:].ravel() for table in tables] if scored else None
        return Parsed([table[:, :4] for table in tables], scores)

    def write(self, content: ToWrite, file: BinaryIO) -> None:
        entries = [content.proposals[image_id] for image_id in content.ids]
        scored = all(entry.scores is not None for entry in entries if len(entry))
        tables = [
            np.column_stack((entry.boxes, entry.scores))
            if scored and entry.scores is not None
            else entry.boxes
            for entry in entries
        ]
        pickle.dump(tables, file, protocol=4)
