"""Several sources as one: all boxes of the first, then those of the next that are new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from frcnn_proposals.base import Image, Proposals, Source

SEPARATOR = "+"


class UnionSource:
    """The boxes of every one of `sources`, in their order; a box that comes twice stays once.

    Its name is theirs with a plus between, as selective-search+dense. Scores of different
    sources cannot be compared, so there are none.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)
        self.name = SEPARATOR.join(source.name for source in self.sources)
        self.version = SEPARATOR.join(source.version for source in self.sources)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Those of each source, under its name."""
        return {source.name: dict(source.parameters) for source in self.sources}

    def propose(self, image: Image) -> Proposals:
        """Boxes of one RGB image (H, W, 3) uint8."""
        boxes = np.concatenate([source.propose(image).boxes for source in self.sources])
        _, first = np.unique(boxes, axis=0, return_index=True)
        return Proposals(boxes[np.sort(first)])
