"""Several sources combined: all boxes of the first, then the new boxes of each next source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from frcnn_proposals.base import Image, Proposals, Source, is_per_stream, is_thread_safe

SEPARATOR = "+"


class UnionSource:
    """The boxes of all `sources`, in their order, without duplicates.

    The name joins their names by a plus, such as selective-search+dense. The boxes have no scores,
    because scores of different sources cannot be compared.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)
        self.name = SEPARATOR.join(source.name for source in self.sources)
        self.version = SEPARATOR.join(str(source.version) for source in self.sources)
        self.thread_safe = all(map(is_thread_safe, self.sources))
        self.per_stream = any(map(is_per_stream, self.sources))

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters of each source, by its name."""
        return {source.name: dict(source.parameters) for source in self.sources}

    def propose(self, image: Image) -> Proposals:
        """Boxes of one RGB image (H, W, 3) uint8, as the sources return them, not checked."""
        return self.join([source.propose(image) for source in self.sources])

    def join(self, found: Sequence[Proposals]) -> Proposals:
        """The boxes of every source, in the order of the sources, as one list."""
        boxes = np.concatenate([proposals.boxes for proposals in found])
        _, first = np.unique(boxes, axis=0, return_index=True)
        return Proposals(boxes[np.sort(first)], clipped=sum(p.clipped for p in found))
