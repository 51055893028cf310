"""Detections as rows of a file, before they are grouped by image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DetectionRows:
    """D detections of a file.

    image_ids: the images of the file, in order of appearance; image (D,): index into them;
    labels (D,) 1..K; scores (D,); boxes (D, 4) in the toolkit's coordinates. where: a function
    from a row number to a description of its position in the file.
    """

    image_ids: tuple[str, ...]
    image: NDArray[np.int64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    boxes: NDArray[np.float64]
    where: Callable[[int], str]


class ImageIndex(dict[Any, int]):
    """A mapping from an image name in a file to an index, in order of appearance.

    names: image name in the file -> the dataset's id; other names are used unchanged.
    """

    def __init__(self, names: Mapping[Any, str]) -> None:
        super().__init__()
        self._names = names
        self._index_of_id: dict[str, int] = {}

    def __missing__(self, name: Any) -> int:
        image_id = self._names.get(name, str(name))
        self[name] = self._index_of_id.setdefault(image_id, len(self._index_of_id))
        return self[name]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the images, in order of appearance."""
        return tuple(self._index_of_id)
