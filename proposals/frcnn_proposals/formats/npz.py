"""NumPy's .npz: one array per image, or one file per image."""

from __future__ import annotations

import zipfile
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from frcnn_proposals.formats.base import Parsed, PerImageFormat, ToWrite, WritableFormat
from frcnn_proposals.formats.containers.tables import all_found, columns_of, numbers, split_scores
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout

_OF_ONE_IMAGE = ({"boxes"}, {"boxes", "scores"})


class NpzByImage(WritableFormat):
    """np.savez(file, **{image_id: boxes}): N x 4, or N x 5 with the score last."""

    name = "npz"
    title = "NumPy .npz (image id -> N x 4, or N x 5 with the score last)"
    layouts = (BoxLayout("xyxy", 0),)

    def parse(self, content: Content) -> Parsed | None:
        arrays = content.of("npz")
        if not arrays or set(arrays) in _OF_ONE_IMAGE:
            return None
        tables = all_found(numbers(array, (4, 5)) for array in arrays.values())
        return None if tables is None else Parsed(*split_scores(tables), list(arrays))

    def write(self, content: ToWrite, file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for image_id in content.ids:
                entry = content.proposals[image_id]
                table = entry.boxes
                if entry.scores is not None:
                    table = np.concatenate((table, entry.scores[:, None]), axis=1)
                with archive.open(f"{image_id}.npy", "w", force_zip64=True) as member:
                    npy.write_array(member, table, allow_pickle=False)


class NpzOfImage(PerImageFormat):
    """np.savez(f"{image_id}.npz", boxes=boxes, scores=scores), one file per image."""

    name = "npz-folder"
    title = "NumPy <id>.npz (boxes, scores)"
    layouts = (BoxLayout("xyxy", 0),)

    def parse(self, content: Content) -> Parsed | None:
        arrays = content.of("npz") or {}
        if set(arrays) not in _OF_ONE_IMAGE:
            return None
        boxes = numbers(arrays["boxes"])
        scores = None if boxes is None else columns_of(arrays.get("scores"), len(boxes))
        if boxes is None or (scores is None and "scores" in arrays):
            return None
        return Parsed([boxes], None if scores is None else [scores], [self.id_of(content.name)])
