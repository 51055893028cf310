"""NumPy's .npz: an array an image, or a file an image."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from frcnn_proposals.formats.base import Parsed, ToWrite
from frcnn_proposals.formats.containers.mat import columns_of, numbers
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout

_OF_ONE_IMAGE = ({"boxes"}, {"boxes", "scores"})


class NpzByImage:
    """np.savez(file, **{image_id: boxes}): N x 4, or N x 5 with the score last."""

    name = "npz"
    title = "NumPy .npz (image id -> N x 4, or N x 5 with the score last)"
    layouts = (BoxLayout("xyxy", 0),)
    needs_order = False

    def parse(self, content: Content) -> Parsed | None:
        arrays = content.arrays
        if not arrays or set(arrays) in _OF_ONE_IMAGE:
            return None
        found = [numbers(array, (4, 5)) for array in arrays.values()]
        tables = [table for table in found if table is not None]
        if len(tables) < len(found):
            return None
        full = [table for table in tables if len(table)]
        scored = bool(full) and all(table.shape[1] == 5 for table in full)
        scores = [table[:, 4] if table.shape[1] == 5 else table[:, 0] for table in tables]
        return Parsed([table[:, :4] for table in tables], scores if scored else None, list(arrays))

    def write(self, content: ToWrite, file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for image_id in content.ids:
                entry = content.proposals[image_id]
                table = entry.boxes
                if entry.scores is not None:
                    table = np.concatenate((table, entry.scores[:, None]), axis=1)
                with archive.open(f"{image_id}.npy", "w", force_zip64=True) as member:
                    npy.write_array(member, table, allow_pickle=False)


class NpzOfImage:
    """np.savez(f"{image_id}.npz", boxes=boxes, scores=scores), a file for each image."""

    name = "npz-folder"
    title = "NumPy <id>.npz (boxes, scores)"
    layouts = (BoxLayout("xyxy", 0),)

    def parse(self, content: Content) -> Parsed | None:
        arrays = content.arrays or {}
        if set(arrays) not in _OF_ONE_IMAGE:
            return None
        boxes = numbers(arrays["boxes"])
        scores = None if boxes is None else columns_of(arrays.get("scores"), len(boxes))
        if boxes is None or (scores is None and "scores" in arrays):
            return None
        return Parsed([boxes], None if scores is None else [scores], [self.id_of(content.path)])

    def id_of(self, path: Path) -> str:
        return path.stem
