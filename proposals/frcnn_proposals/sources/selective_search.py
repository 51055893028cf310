"""The source `selective-search`: compiled selective search with the paper's two strategies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import MisuseError

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
    boxes, best first; None for all. Raises MisuseError for an invalid mode or number.
    """

    mode: Mode = "fast"
    min_side: int = 1
    max_boxes: int | None = None

    # No annotations, so these are attributes of the class, not fields.
    name = "selective-search"
    version = "1"  # changes if the boxes change
    thread_safe = True

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise MisuseError(f"unknown mode {self.mode!r} of {self.name}; choose fast or quality")
        for name, value in (("min_side", self.min_side), ("max_boxes", self.max_boxes)):
            if value is not None and value < 1:
                raise MisuseError(f"selective-search: {name} must be at least 1, not {value}")

    @property
    def parameters(self) -> Mapping[str, Any]:
        strategy = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(STRATEGIES[self.mode]).items()
        }
        bounds = {"min_side": self.min_side, "max_boxes": self.max_boxes}
        return {"mode": self.mode, **strategy, **bounds}

    def propose(self, image: Image) -> Proposals:
        """Boxes of an RGB image (H, W, 3) uint8, best first, without scores."""
        # torch takes seconds to import; creating or listing the source does not need it.
        import torch

        from frcnn_kernels.selective_search import selective_search

        boxes = selective_search(
            torch.from_numpy(np.ascontiguousarray(image)),
            **vars(STRATEGIES[self.mode]),
            min_side=self.min_side,
            max_boxes=self.max_boxes,
        )
        return Proposals(boxes.numpy().astype(np.float32))
