"""Detections as a file lists them, one a row, before they are gathered by image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DetectionRows:
    """image_ids: the images met, in order; image (D,): index into them; labels (D,) 1..K;
    scores (D,); boxes (D, 4), the toolkit's own coordinates.

    where: a row's number to its place in the file, in words.
    """

    image_ids: tuple[str, ...]
    image: NDArray[np.int64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    boxes: NDArray[np.float64]
    where: Callable[[int], str]


class ImageIndex(dict[Any, int]):
    """From an image as a file names it to its index among those met so far.

    names: image name in the file -> the dataset's id; other names stay as they are.
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
        """The images met, in order."""
        return tuple(self._index_of_id)
