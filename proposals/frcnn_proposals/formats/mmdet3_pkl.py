"""MMDetection 3's .pkl: a dict from image path to bboxes and scores."""

from __future__ import annotations

import pickle
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.errors import MisuseError
from frcnn_proposals.formats.base import Parsed, ToWrite, WritableFormat
from frcnn_proposals.formats.containers.tables import all_found, as_array, numbers
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout, table_of
from frcnn_proposals.pickles.allowed import InstanceData


class Mmdet3Pkl(WritableFormat):
    """open-mmlab/mmdetection 3.x mmdet/datasets/base_det_dataset.py.

    MMDetection itself dumps InstanceData instead of the inner dicts.
    """

    name = "mmdet3"
    title = "MMDetection 3 .pkl (path -> bboxes, scores)"
    layouts = (BoxLayout("xyxy", 0, continuous=True),)

    def parse(self, content: Content) -> Parsed | None:
        value = content.of("pickle")
        if not isinstance(value, dict) or not value:
            return None
        entries = all_found(_entry(item) for item in value.values())
        if entries is None or not all(isinstance(key, str) for key in value):
            return None
        scores = all_found(scores for _, scores in entries)
        # The paths can be absolute, and begin with the folder of the images.
        return Parsed([boxes for boxes, _ in entries], scores, list(value), rooted=False)

    def write(self, content: ToWrite, file: BinaryIO) -> None:
        value: dict[str, dict[str, NDArray[Any]]] = {}
        for image_id in content.ids:
            entry = content.proposals[image_id]
            path = content.path_of(image_id, "MMDetection 3 finds boxes by folder and file name")
            key = f"{path.resolve().parent.name}/{path.name}"
            if key in value:
                raise MisuseError(
                    f"MMDetection 3 finds boxes by folder and file name, but two images are {key}; "
                    "use another format, such as mmdet2"
                )
            value[key] = {"bboxes": table_of(entry.boxes, self.layouts[0])}
            if entry.scores is not None:
                value[key]["scores"] = entry.scores
        pickle.dump(value, file, protocol=4)


def _entry(item: Any) -> tuple[NDArray[Any], NDArray[Any] | None] | None:
    fields = item.fields if isinstance(item, InstanceData) else item
    if not isinstance(fields, dict):
        return None
    boxes = numbers(as_array(fields.get("bboxes")))
    scores = as_array(fields.get("scores"))
    if boxes is None or (scores is not None and scores.size != len(boxes)):
        return None
    if scores is None and len(boxes) == 0:  # no other image loses its scores because of this one
        scores = np.zeros(0)
    return boxes, None if scores is None else scores.ravel()
