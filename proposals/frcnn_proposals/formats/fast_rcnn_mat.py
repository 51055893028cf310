"""The data-set .mat of R-CNN and Fast R-CNN (voc_2007_trainval.mat): one cell an image."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from frcnn_proposals.formats.base import Parsed, ToWrite
from frcnn_proposals.formats.containers.mat import tables, texts
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout, to_layout


class FastRcnnMat:
    """rbgirshick/fast-rcnn lib/datasets/pascal_voc.py, rbgirshick/rcnn imdb/roidb_from_voc.m."""

    name = "fast-rcnn-mat"
    title = "Fast R-CNN data-set .mat (cells boxes, images)"
    layouts = (BoxLayout("yxyx", 1),)
    needs_order = False

    def parse(self, content: Content) -> Parsed | None:
        variables = content.variables
        boxes = tables(variables.get("boxes"))
        if boxes is None or "boxScores" in variables or "num_candidates" in variables:
            return None
        ids = texts(variables.get("images"))
        return Parsed(boxes, ids=ids if ids and len(ids) == len(boxes) else None)

    def write(self, content: ToWrite, file: BinaryIO) -> None:
        import scipy.io

        boxes = np.empty((1, len(content.ids)), object)
        images = np.empty((len(content.ids), 1), object)
        for index, image_id in enumerate(content.ids):
            boxes[0, index] = to_layout(content.proposals[image_id].boxes, self.layouts[0])
            images[index, 0] = image_id
        scipy.io.savemat(file, {"boxes": boxes, "images": images}, do_compression=True)
