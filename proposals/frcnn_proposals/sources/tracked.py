"""The source `tracked`: boxes of earlier frames of a video, moved with the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.sources.dense import DenseBoxes
from frcnn_proposals.sources.motion import Edges, View, find_motion
from frcnn_proposals.sources.selective_search import SelectiveSearch

# About 460 windows in a frame of 640 x 480 pixels; in other frames, the windows are scaled.
_SCALES, _STEP, _PIXELS = (96, 192, 384), 0.5, 640 * 480
# A moved box is proposed while at least this part of it is in the frame.
_LEAST_VISIBLE = 0.5


@dataclass(frozen=True)
class _Memory:
    """What is known of the last frame. boxes: also parts outside of it. age: since the search."""

    view: View
    boxes: Edges
    age: int


class Tracked:
    """For videos: selective search in every few frames, whose boxes move with the picture in
    between, and a coarse grid of sliding windows.

    every: number of frames from one search to the next; a change of scene starts a search too.
    max_boxes: the greatest number of boxes of a search, best first. working_pixels: the size at
    which frames are searched. Raises MisuseError for a number below 1.
    """

    name = "tracked"
    version = "1"
    thread_safe = True  # it runs in the process of the caller; one thread calls it (per_stream)
    only_reads = True
    per_stream = True

    def __init__(
        self, every: int = 5, max_boxes: int = 1000, working_pixels: int = 250 * 250
    ) -> None:
        for name, value in (("every", every), ("max_boxes", max_boxes)):
            if not isinstance(value, int) or value < 1:
                raise MisuseError(f"tracked: {name} must be an integer of at least 1, not {value}")
        self.every, self.max_boxes, self.working_pixels = every, max_boxes, working_pixels
        self._search = SelectiveSearch(max_boxes=max_boxes, working_pixels=working_pixels)
        self._last: _Memory | None = None

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {
            "every": self.every,
            "max_boxes": self.max_boxes,
            "working_pixels": self.working_pixels,
            "search": self._search.version,
        }

    def propose(self, image: Image) -> Proposals:
        """Boxes of the next frame (H, W, 3) uint8: those of the search, then those of the grid."""
        self._last = self._remember(image)
        height, width = image.shape[:2]
        boxes = _in_frame(self._last.boxes, width, height)
        return Proposals(np.concatenate([boxes, _grid(width, height)]))

    def _remember(self, image: Image) -> _Memory:
        view, last = View.of(image), self._last
        if last is not None and last.age + 1 < self.every:
            motion = find_motion(last.view, view)
            if motion is not None:
                return _Memory(view, motion.moved(last.boxes), last.age + 1)
        boxes = self._search.propose(image).boxes.astype(np.float64)
        boxes[:, 2:] += 1
        return _Memory(view, boxes, 0)


def _in_frame(boxes: Edges, width: int, height: int) -> NDArray[np.float32]:
    """Inclusive corners of the boxes of which enough is in the frame, clipped to it."""
    clipped = np.clip(boxes, 0, [width, height, width, height])
    is_visible = _areas(clipped) >= _LEAST_VISIBLE * _areas(boxes)
    corners = np.floor(clipped[is_visible] + 0.5)
    corners[:, 2:] -= 1
    return corners[(corners[:, 2:] >= corners[:, :2]).all(axis=1)].astype(np.float32)


def _areas(boxes: Edges) -> NDArray[np.float64]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))


def _grid(width: int, height: int) -> NDArray[np.float32]:
    factor = (width * height / _PIXELS) ** 0.5
    windows = DenseBoxes([factor * scale for scale in _SCALES], step=_STEP)
    return windows.propose(np.empty((height, width, 0), np.uint8)).boxes
