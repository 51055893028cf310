"""The source `selective-search`: compiled selective search with the paper's two strategies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.sources.working_size import WORKING_PIXELS, search_at_working_size

Mode = Literal["fast", "quality"]


@dataclass(frozen=True)
class Diversification:
    """Settings of the hierarchies of a strategy (section 3.2 and table 5 of the paper).

    Each combination of a colour space, a threshold (k of the segmentation) and a set of
    similarities (Colour, Texture, Size, Fill) gives one hierarchy. connectivity: the number of
    neighbours of a pixel in the segmentation.
    """

    colour_spaces: tuple[str, ...]
    thresholds: tuple[int, ...]
    similarities: tuple[str, ...]
    connectivity: int


_SPACES = ("hsv", "lab", "rgi", "grey", "hue")
_SIMILARITIES = ("CTSF", "TSF", "F", "S")
STRATEGIES: Mapping[Mode, Diversification] = {
    "fast": Diversification(_SPACES[:2], (100, 400, 800), _SIMILARITIES, 4),
    "quality": Diversification(_SPACES, (50, 100, 200, 400, 800), _SIMILARITIES, 8),
}


@dataclass(frozen=True)
class SelectiveSearch:
    """Selective search (Uijlings et al., IJCV 2013), in fast or quality mode.

    min_side: boxes with a shorter side, in pixels, are omitted. max_boxes: the greatest number of
    boxes, best first; None for all. working_pixels: larger images are searched at a reduced size of
    this many pixels; None never reduces them. Raises MisuseError for an invalid mode or number.
    """

    mode: Mode = "fast"
    min_side: int = 1
    max_boxes: int | None = None
    working_pixels: int | None = WORKING_PIXELS

    # No annotations, so these are attributes of the class, not fields.
    name = "selective-search"
    version = "1"  # changes if the boxes change
    thread_safe = True
    only_reads = True

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise MisuseError(f"unknown mode {self.mode!r} of {self.name}; choose fast or quality")
        for name, value in self._bounds().items():
            if value is not None and value < 1:
                raise MisuseError(f"selective-search: {name} must be at least 1, not {value}")

    @property
    def parameters(self) -> Mapping[str, Any]:
        strategy = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(STRATEGIES[self.mode]).items()
        }
        return {"mode": self.mode, **strategy, **self._bounds()}

    def propose(self, image: Image) -> Proposals:
        """Boxes of an RGB image (H, W, 3) uint8, best first, without scores."""
        boxes = search_at_working_size(image, self.working_pixels, self._search)
        sides = (boxes[:, 2:] - boxes[:, :2] + 1).min(axis=1)
        return Proposals(boxes[sides >= self.min_side][: self.max_boxes])

    def _search(self, image: Image) -> NDArray[np.int32]:
        # torch takes seconds to import; creating or listing the source does not need it.
        import torch

        from frcnn_kernels.selective_search import selective_search

        pixels = torch.from_numpy(np.ascontiguousarray(image))
        return selective_search(pixels, **vars(STRATEGIES[self.mode])).numpy()

    def _bounds(self) -> dict[str, int | None]:
        names = ("min_side", "max_boxes", "working_pixels")
        return {name: getattr(self, name) for name in names}
