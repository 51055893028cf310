"""The types of proposals and of proposal sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # (H, W, 3), RGB


@dataclass(frozen=True)
class Proposals:
    """Candidate boxes of one image, best first if the source ranks them.

    boxes: float32 (N, 4), x1, y1, x2, y2, 0-based, inclusive corners, in pixels of
        the original image.
    scores: float32 (N,), higher is better; None if the source has no scores.
    clipped: number of boxes of a source that reached outside the image (see call_source).

    Raises ValueError for a wrong shape. Other dtypes are converted to float32. An empty list is no
    boxes.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32] | None = None
    clipped: int = 0

    def __post_init__(self) -> None:
        boxes = np.ascontiguousarray(self.boxes, dtype=np.float32)
        if boxes.shape == (0,):
            boxes = boxes.reshape(0, 4)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"boxes have shape {boxes.shape}, expected (N, 4)")
        object.__setattr__(self, "boxes", boxes)
        if self.scores is not None:
            scores = np.ascontiguousarray(self.scores, dtype=np.float32)
            if scores.shape != (len(boxes),):
                raise ValueError(f"scores have shape {scores.shape}, expected ({len(boxes)},)")
            object.__setattr__(self, "scores", scores)

    def __len__(self) -> int:
        return len(self.boxes)

    def top(self, count: int | None) -> Proposals:
        """The first `count` boxes; all boxes for None."""
        if count is None or count >= len(self):
            return self
        return Proposals(self.boxes[:count], None if self.scores is None else self.scores[:count])


@runtime_checkable
class Source(Protocol):
    """Computes proposals from pixels. Instances must be picklable: each worker gets a copy.

    An object gets one call at a time, in a worker process. A source with the attribute
    `thread_safe = True` may be called from several threads at once, in the process of the caller.
    """

    name: str
    version: str

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Everything that changes the result, as JSON values. It is stored with the boxes."""
        ...

    def propose(self, image: Image) -> Proposals:
        """Proposals for one RGB image (H, W, 3) uint8, which is read-only.

        The same pixels must give the same boxes. Without boxes, return Proposals([]).
        """
        ...
