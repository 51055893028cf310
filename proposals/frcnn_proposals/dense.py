"""Dense sliding boxes: what the paper compares selective search with (section 5.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import MisuseError


class DenseBoxes:
    """Windows of every scale and aspect ratio, slid over the whole image, largest first.

    scales: square roots of the windows' areas, in pixels. ratios: width over height.
    step: how far a window moves, as a fraction of its side. The paper gives the count
    (about 45,000 an image) and not the grid; these defaults come to that on a VOC image.
    Raises MisuseError on values that make no grid.
    """

    name = "dense"
    version = "1"

    def __init__(
        self,
        scales: Sequence[float] = (32, 48, 64, 96, 128, 192, 256, 384),
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        step: float = 0.14,
    ) -> None:
        if not scales or not ratios or min(*scales, *ratios, step) <= 0:
            raise MisuseError("dense boxes need scales, ratios and a step above zero")
        self.scales = tuple(float(scale) for scale in scales)
        self.ratios = tuple(float(ratio) for ratio in ratios)
        self.step = float(step)

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"scales": list(self.scales), "ratios": list(self.ratios), "step": self.step}

    def propose(self, image: Image) -> Proposals:
        """Boxes of an image (H, W, 3); only its size matters. The whole image comes first."""
        height, width = image.shape[:2]
        boxes = [np.array([[0, 0, width - 1, height - 1]])]
        for scale in sorted(self.scales, reverse=True):
            for ratio in self.ratios:
                box_width = max(1, round(scale * ratio**0.5))
                box_height = max(1, round(scale / ratio**0.5))
                if box_width <= width and box_height <= height:
                    boxes.append(_slide(width, height, box_width, box_height, self.step))
        every = np.concatenate(boxes)
        _, first = np.unique(every, axis=0, return_index=True)
        return Proposals(every[np.sort(first)])


def _slide(
    width: int, height: int, box_width: int, box_height: int, step: float
) -> NDArray[np.int64]:
    columns, rows = _starts(width, box_width, step), _starts(height, box_height, step)
    x1, y1 = np.tile(columns, len(rows)), np.repeat(rows, len(columns))
    return np.stack((x1, y1, x1 + box_width - 1, y1 + box_height - 1), axis=1)


def _starts(length: int, side: int, step: float) -> NDArray[np.int64]:
    """Where windows of `side` begin, evenly from one edge to the other."""
    room = length - side
    count = int(np.ceil(room / (side * step))) + 1
    return np.rint(np.linspace(0, room, count)).astype(np.int64)
