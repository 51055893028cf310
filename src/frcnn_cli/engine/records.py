"""Frozen records that the parts of the engine exchange.

All boxes are float32 (N, 4): x1, y1, x2, y2 in pixels of the original image, 0-based, with
inclusive corners. Labels are 1..K; 0 is the background.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.errors import InvalidValueError

BACKGROUND = 0
ImageFile = tuple[str, str | Path]  # image id, path


def _no_boxes() -> NDArray[np.float32]:
    return np.zeros((0, 4), np.float32)


def _count_of(boxes: Any) -> int:
    """The number of boxes. Raises InvalidValueError for a wrong type or shape."""
    if not isinstance(boxes, np.ndarray):
        kind = type(boxes).__name__
        raise InvalidValueError(f"boxes must be an array of shape (N, 4), not {kind}")
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InvalidValueError(f"boxes have shape {boxes.shape}, expected (N, 4)")
    return len(boxes)


def _check_rows(count: int, **columns: Any) -> None:
    """Raise InvalidValueError unless each of the columns has one value per box."""
    for name, values in columns.items():
        if not isinstance(values, np.ndarray):
            kind = type(values).__name__
            raise InvalidValueError(f"{name} must be an array of shape ({count},), not {kind}")
        if values.shape != (count,):
            shape = values.shape
            raise InvalidValueError(f"the array {name} has shape {shape}, expected ({count},)")


@dataclass(frozen=True)
class GroundTruth:
    """The objects of one image.

    boxes: float32 (N, 4). labels: int64 (N,), 1..K. difficult: bool (N,); difficult objects are
    ignored in training and evaluation. crowd: bool (N,); regions with many objects (COCO), which
    are ignored in the same way.
    """

    boxes: NDArray[np.float32] = field(default_factory=_no_boxes)
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    difficult: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    crowd: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        count = _count_of(self.boxes)
        if np.shape(self.crowd) == (0,):  # not given: no object is a crowd
            object.__setattr__(self, "crowd", np.zeros(count, bool))
        _check_rows(count, labels=self.labels, difficult=self.difficult, crowd=self.crowd)

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True)
class ImageLabels:
    """The classes in one image, without boxes, as ascending labels 1..K.

    present: classes that are in the image. uncertain: classes that may be in it, and are ignored
    in training.
    """

    present: tuple[int, ...] = ()
    uncertain: tuple[int, ...] = ()


@dataclass(frozen=True)
class ImageRecord:
    """One image of a dataset: the path of its file, its size and its ground truth.

    width and height: in pixels, as annotated; None if the annotation has no size. truth: None if
    the dataset has no annotation for the image (an image without objects has empty truth).
    labels: of a dataset that has labels of images, but no boxes; otherwise None.
    """

    image_id: str
    path: Path
    width: int | None = None
    height: int | None = None
    truth: GroundTruth | None = None
    labels: ImageLabels | None = None


def labels_of(record: ImageRecord) -> ImageLabels | None:
    """The labels of an image; None if it has neither labels nor an annotation.

    A class is present if an object that counts has it. If only difficult objects and crowds have
    it, the class is uncertain, as in VOC's lists of images per class.
    """
    truth = record.truth
    if record.labels is not None or truth is None:
        return record.labels
    counts = ~(truth.difficult | truth.crowd)
    present = set(truth.labels[counts].tolist())
    uncertain = set(truth.labels[~counts].tolist()) - present
    return ImageLabels(tuple(sorted(present)), tuple(sorted(uncertain)))


@dataclass(frozen=True)
class Dataset:
    """One split of a dataset, without the pixels.

    classes[0] is the name of label 1; the background has no entry.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    images: tuple[ImageRecord, ...]

    def __len__(self) -> int:
        return len(self.images)


def short_name(dataset: str) -> str:
    """The last part of a dataset's name, which may be a path."""
    return dataset.rstrip("/").rpartition("/")[2] or dataset


@dataclass(frozen=True)
class ReadFile:
    """What reading an image file showed.

    digest: SHA-256 of its bytes. size: width and height in pixels; None if it was not decoded.
    """

    digest: str
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Detections:
    """The detections in one image, highest score first.

    boxes: float32 (N, 4). scores: float32 (N,), or float64 if read from a file; probabilities, or
    margins for SVMs. labels: int64 (N,), 1..K. best_rejected: the highest score, if no score
    reached the threshold; None otherwise, or if it is not known.
    """

    boxes: NDArray[np.float32] = field(default_factory=_no_boxes)
    scores: NDArray[np.float32] | NDArray[np.float64] = field(
        default_factory=lambda: np.zeros(0, np.float32)
    )
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    best_rejected: float | None = field(default=None, kw_only=True, compare=False, repr=False)

    def __post_init__(self) -> None:
        _check_rows(_count_of(self.boxes), scores=self.scores, labels=self.labels)

    def __len__(self) -> int:
        return len(self.boxes)

    def above(self, threshold: float) -> Self:
        """Return the detections with a score of at least `threshold`."""
        return self.take(np.flatnonzero(self.scores >= threshold))

    def with_labels(self, labels: Collection[int]) -> Self:
        """Those whose label is one of `labels`."""
        return self.take(np.flatnonzero(np.isin(self.labels, list(labels))))

    def take(self, indices: NDArray[np.int64 | np.bool_] | Sequence[int]) -> Self:
        """Return the detections at `indices`, in that order, or those for which a mask is True.

        Raises IndexError as indexing an array does.
        """
        index = np.atleast_1d(indices)
        index = index if index.size else index.astype(np.int64)
        columns = (self.boxes[index], self.scores[index], self.labels[index])
        return replace(self, boxes=columns[0], scores=columns[1], labels=columns[2])


def highest(scores: Iterable[float | None]) -> float | None:
    """The highest of the scores that are known; None if there is none."""
    return max((score for score in scores if score is not None), default=None)
