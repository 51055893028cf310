"""Dense sliding windows, which the paper compares with selective search (section 5.5)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import MisuseError

# An image of 12 megapixels has 3.3 million with the defaults. 4 million need 700 MB of memory.
MAX_BOXES = 4_000_000


class DenseBoxes:
    """Sliding windows of every scale and aspect ratio over the whole image, largest first.

    scales: square roots of the windows' areas, in pixels. ratios: width divided by height.
    step: how far a window moves, as a fraction of its side. The paper states the count (about
    45,000 per image) but not the grid; the defaults give this count for a VOC image.
    Raises MisuseError for values from which no grid can be made.
    """

    name = "dense"
    version = "1"
    thread_safe = True
    only_reads = True

    def __init__(
        self,
        scales: Sequence[float] = (32, 48, 64, 96, 128, 192, 256, 384),
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        step: float = 0.14,
    ) -> None:
        try:
            self.scales = tuple(float(scale) for scale in scales)
            self.ratios = tuple(float(ratio) for ratio in ratios)
            self.step = float(step)
        except (TypeError, ValueError, OverflowError) as error:
            raise MisuseError(
                "source 'dense': scales and ratios must be lists of numbers, and step a number"
            ) from error
        sides = (*self.scales, *self.ratios, self.step)
        if not self.scales or not self.ratios or not all(0 < side < math.inf for side in sides):
            raise MisuseError("source 'dense': scales, ratios and step must be above zero")

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"scales": list(self.scales), "ratios": list(self.ratios), "step": self.step}

    def propose(self, image: Image) -> Proposals:
        """Boxes for an image (H, W, 3), of which only the size matters. The whole image is first.

        Raises ValueError if there would be more than MAX_BOXES.
        """
        height, width = image.shape[:2]
        windows = [
            (box_width, box_height)
            for box_width, box_height in self._windows()
            if box_width <= width and box_height <= height
        ]
        count = sum(
            _count(width, box_width, self.step) * _count(height, box_height, self.step)
            for box_width, box_height in windows
        )
        if count > MAX_BOXES:
            raise ValueError(
                f"{width} x {height} pixels have {count:,} dense boxes, over the limit of "
                f"{MAX_BOXES:,}; scale the image down, or set a larger step or larger scales"
            )
        boxes = [np.array([[0, 0, width - 1, height - 1]])]
        boxes += [_slide(width, height, *window, self.step) for window in windows]
        rows = np.concatenate(boxes)
        _, first = np.unique(rows, axis=0, return_index=True)
        return Proposals(rows[np.sort(first)])

    def _windows(self) -> Iterator[tuple[int, int]]:
        """Widths and heights of the windows, largest first."""
        for scale in sorted(self.scales, reverse=True):
            for ratio in self.ratios:
                yield max(1, round(scale * ratio**0.5)), max(1, round(scale / ratio**0.5))


def _slide(
    width: int, height: int, box_width: int, box_height: int, step: float
) -> NDArray[np.int64]:
    columns, rows = _starts(width, box_width, step), _starts(height, box_height, step)
    x1, y1 = np.tile(columns, len(rows)), np.repeat(rows, len(columns))
    return np.stack((x1, y1, x1 + box_width - 1, y1 + box_height - 1), axis=1)


def _starts(length: int, side: int, step: float) -> NDArray[np.int64]:
    """Positions of windows of length `side`, evenly spaced from one edge to the other."""
    return np.rint(np.linspace(0, length - side, _count(length, side, step))).astype(np.int64)


def _count(length: int, side: int, step: float) -> int:
    """Number of windows of length `side`, which are at least one pixel apart."""
    room = length - side
    return math.ceil(min(room, room / (side * step))) + 1
