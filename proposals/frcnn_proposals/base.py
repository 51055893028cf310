"""The types of proposals and of proposal sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.errors import InvalidValueError, reason

Image = NDArray[np.uint8]  # (H, W, 3), RGB


@dataclass(frozen=True)
class Proposals:
    """Candidate boxes of one image.

    boxes: float32 (N, 4), x1, y1, x2, y2, 0-based, inclusive corners, in pixels of
        the original image. Without scores, the first box is the best.
    scores: float32 (N,), higher is better; None if the source has no scores.
    clipped: number of boxes of a source that reached outside the image (see call_source).

    Raises InvalidValueError for a wrong shape, or values that are not numbers. Other dtypes are
    converted to float32. An empty list means no boxes.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32] | None = None
    clipped: int = 0

    def __post_init__(self) -> None:
        boxes = _in_float32("boxes", self.boxes)
        if boxes.shape == (0,):
            boxes = boxes.reshape(0, 4)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise InvalidValueError(f"boxes have shape {boxes.shape}, expected (N, 4)")
        object.__setattr__(self, "boxes", boxes)
        if self.scores is not None:
            scores = _in_float32("scores", self.scores)
            if scores.shape != (len(boxes),):
                raise InvalidValueError(
                    f"scores have shape {scores.shape}, expected ({len(boxes)},)"
                )
            object.__setattr__(self, "scores", scores)

    def __len__(self) -> int:
        return len(self.boxes)

    def top(self, count: int | None) -> Proposals:
        """The `count` best boxes, best first; all boxes for None."""
        _check_count(count)
        boxes, scores = best_first(self.boxes, self.scores)
        if boxes is self.boxes and (count is None or count >= len(boxes)):
            return self
        return replace(self, boxes=boxes[:count], scores=None if scores is None else scores[:count])


@dataclass(frozen=True)
class Window:
    """A part of an image: its first pixel (x, y), its size, and the size of the image."""

    x: int
    y: int
    width: int
    height: int
    image_width: int
    image_height: int

    def pixels_of(self, image: Image) -> Image:
        """The pixels (height, width, 3) of the window, contiguous, from those of the image."""
        part = image[self.y : self.y + self.height, self.x : self.x + self.width]
        return np.ascontiguousarray(part)

    def inside(self, proposals: Proposals) -> Proposals:
        """The proposals of the image that are completely inside, in pixels of the window."""
        boxes = proposals.boxes - self._offset
        last = np.array([self.width - 1, self.height - 1], np.float32)
        rows = np.flatnonzero((boxes[:, :2] >= 0).all(axis=1) & (boxes[:, 2:] <= last).all(axis=1))
        scores = None if proposals.scores is None else proposals.scores[rows]
        return Proposals(boxes[rows], scores)

    def original(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes (N, 4) in pixels of the image, from boxes in pixels of the window."""
        return boxes + self._offset

    @property
    def _offset(self) -> NDArray[np.float32]:
        return np.array([self.x, self.y] * 2, np.float32)


def _check_count(count: Any) -> None:
    if count is not None and not (isinstance(count, Integral) and int(count) >= 0):
        raise InvalidValueError(f"count is {count!r:.80}, expected a number of boxes or None")


def _in_float32(name: str, values: Any) -> NDArray[np.float32]:
    if type(values) is np.ndarray and values.dtype == np.float32 and values.flags.c_contiguous:
        return values
    try:
        with np.errstate(over="ignore"):  # values beyond float32 become infinite
            return np.ascontiguousarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidValueError(f"{name} are not an array of numbers ({reason(error)})") from error


def best_first(
    boxes: NDArray[Any], scores: NDArray[Any] | None
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Boxes (N, 4) and scores (N,) by falling score; equal scores keep their order.

    Boxes without scores are in this order already, and so are NaN scores, which checks reject.
    """
    if scores is None or not (scores[1:] > scores[:-1]).any():
        return boxes, scores
    # In float64, because the negative of an unsigned number is not below zero.
    falling = -np.asarray(scores, np.float64)
    order = np.argsort(falling)  # several times faster than a stable sort
    if not (falling[order[1:]] > falling[order[:-1]]).all():
        order = np.argsort(falling, kind="stable")
    return boxes[order], scores[order]


@runtime_checkable
class Source(Protocol):
    """Computes proposals from pixels. Instances must be picklable: each worker gets a copy.

    An object gets one call at a time, in a worker process. A source with the attribute
    `thread_safe = True` may be called from several threads at once, in the process of the caller.
    One with `only_reads = True` never changes the image, and gets it without a copy. One with the
    attribute `working_pixels`, a number of at least 1, reduces images of more pixels itself: it may
    get a JPEG that was decoded at a reduced size of at least this many pixels. None, as without the
    attribute, is the whole image. One with `per_stream = True` remembers earlier images: an object
    gets the frames of one video, in their order. Only videos accept it, each with its own copy.
    """

    name: str
    version: str

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Everything that changes the result, as JSON values. It is stored with the boxes."""
        ...

    def propose(self, image: Image) -> Proposals:
        """Proposals for one RGB image (H, W, 3) uint8, a copy that may be changed (see only_reads).

        The same pixels must give the same boxes, or with per_stream, the same frames from the first
        one. Without boxes, return Proposals([]).
        """
        ...


@runtime_checkable
class Reordering(Protocol):
    """What a source has besides, if it orders the boxes of another one, `source`.

    That one may find them by image id. Not a subclass of Source: isinstance would read `parameters`
    for every image.
    """

    source: Source

    def reorder(self, proposals: Proposals, image: Image) -> Proposals:
        """The same boxes in another order, with scores, for one RGB image (H, W, 3) uint8."""
        ...


def is_thread_safe(source: Source) -> bool:
    """Whether the source declares that several threads may call one object at the same time."""
    return getattr(source, "thread_safe", False) is True


def is_per_stream(source: Source) -> bool:
    """Whether the source, or the one whose boxes it orders, declares that it remembers images."""
    if isinstance(source, Reordering) and is_per_stream(source.source):
        return True
    return getattr(source, "per_stream", False) is True


def only_reads(source: Source) -> bool:
    """Whether the source declares that it never changes the image."""
    return getattr(source, "only_reads", False) is True
