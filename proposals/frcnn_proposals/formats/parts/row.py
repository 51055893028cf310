"""The result for one image, as a row of a part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A notice that is reported once for all images: the words after the count 1, and after others.
Notice = tuple[str, str]


@dataclass(frozen=True)
class Row:
    """The result for an image: boxes (N, 4), scores (N,) and labels (N,), or the error.

    Without labels, the boxes are proposals, which may have no scores. notices: of this image; they
    are not stored. In `error`, bytes of a path that are not UTF-8 are written as \\udcNN, which
    every format can store.
    """

    image_id: Any
    boxes: NDArray[np.float32] | None = None
    scores: NDArray[Any] | None = None
    labels: NDArray[np.int64] | None = None
    error: str | None = None
    notices: Mapping[Notice, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.error is not None:
            writable = self.error.encode(errors="backslashreplace").decode()
            object.__setattr__(self, "error", writable)

    def __len__(self) -> int:
        """The number of boxes."""
        return 0 if self.boxes is None else len(self.boxes)

    @property
    def values(self) -> dict[str, Any]:
        """The row by name of column."""
        return {
            "id": self.image_id,
            "boxes": self.boxes,
            "scores": self.scores,
            "labels": self.labels,
            "error": self.error,
        }
