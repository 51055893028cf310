"""Detections with their class names and their image."""

from __future__ import annotations

import html
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.api.arguments import public
from frcnn_cli.api.images import ImageLike, pixels_of
from frcnn_cli.engine import records
from frcnn_proposals.errors import Error, InvalidIndexError, InvalidValueError, MisuseError, reason
from frcnn_proposals.images import MAX_PIXELS
from frcnn_proposals.wording import counted

if TYPE_CHECKING:
    import PIL.Image
    import supervision

_LONGEST_IN_NOTEBOOK = 1000  # pixels of the longer side
_NAMED = 6  # detections that a repr names
_ROWS = 100  # of a table


class _LabelsAsNames(Sequence[str]):
    """The names of classes that have none: their labels, which may be any numbers."""

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: Any) -> Any:
        return str(index + 1)


class Detection(NamedTuple):
    """One detected object. box: x1, y1, x2, y2, inclusive, in pixels. label: 1..K."""

    name: str
    score: float
    box: tuple[float, float, float, float]
    label: int


@dataclass(frozen=True, repr=False, eq=False)
class Detections(records.Detections):
    """Detections in one image, highest score first.

    boxes: float32 (N, 4), x1, y1, x2, y2, 0-based, inclusive corners, in pixels of the image.
    scores: float32 (N,), probabilities, or margins for SVMs. labels: int64 (N,), 1..K. class_names:
    of labels 1..K. image_id: the file's name without suffix; empty for an array. size: width and
    height of the image. image: its file or its pixels, for `draw`.
    """

    class_names: tuple[str, ...] = ()
    image_id: str = ""
    size: tuple[int, int] | None = None
    image: Path | NDArray[np.uint8] | None = field(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        is_label = self.labels.dtype.kind in "iu" and (self.labels >= 1).all()
        most = len(self.class_names)
        if len(self) and not (is_label and (self.labels <= (most or self.labels)).all()):
            wanted = f"integers from 1 to {most}" if most else "integers of at least 1"
            raise InvalidValueError(f"labels must be {wanted}, not {reason(str(self.labels))}")

    @property
    def names(self) -> list[str]:
        """The class name of each detection; without class names, its label."""
        classes = self._classes
        return [classes[label - 1] for label in self.labels.tolist()]

    @property
    def _classes(self) -> Sequence[str]:
        return self.class_names or _LabelsAsNames()

    @public
    def above(self, threshold: float) -> Self:
        """The detections with a score of at least `threshold`."""
        return super().above(threshold)

    @public
    def with_labels(self, labels: Iterable[int]) -> Self:
        """The detections whose label is one of `labels`."""
        wanted = list(labels)
        if not all(isinstance(label, Integral) for label in wanted):
            raise MisuseError(f"labels must be a list of integers, not {reason(str(wanted))}.")
        return super().with_labels(wanted)

    @public
    def take(self, indices: NDArray[np.int64 | np.bool_] | Sequence[int] | int) -> Self:
        """The detections at `indices`, in that order, or those for which a mask is True.

        Raises MisuseError, which is also an IndexError, for other indices.
        """
        try:
            return super().take(np.atleast_1d(indices))
        except (IndexError, ValueError) as error:
            raise InvalidIndexError(
                f"indices must be integers below {len(self)}, or a mask of {len(self)} values."
            ) from error

    def __iter__(self) -> Iterator[Detection]:
        columns = (self.names, self.scores.tolist(), self.boxes.tolist(), self.labels.tolist())
        for name, score, (x1, y1, x2, y2), label in zip(*columns, strict=True):
            yield Detection(name, score, (x1, y1, x2, y2), label)

    def __eq__(self, other: object) -> bool:
        """Whether boxes, scores, labels and class names are equal; images are not compared."""
        if not isinstance(other, Detections):
            return NotImplemented
        arrays = ("boxes", "scores", "labels")
        return self.class_names == other.class_names and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in arrays
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        found = [f"{each.name} {each.score:.2f}" for each in list(self)[:_NAMED]]
        if len(self) > _NAMED:
            found.append("...")
        where = f" in {self.image_id}" if self.image_id else ""
        return (
            f"<{counted(len(self), 'detection')}{where}{': ' if found else ''}{', '.join(found)}>"
        )

    @public
    def draw(self, image: ImageLike | None = None) -> PIL.Image.Image:
        """The image with a box, class and score for each detection, as a Pillow image.

        image: to draw on instead of the detections' image. Raises Error if there is no image, or
        its file cannot be read.
        """
        import PIL.Image

        from frcnn_cli.engine.drawing.detections import draw_detections

        given = self.image if image is None else image
        if given is None:
            raise MisuseError("These detections have no image. Give one: draw(image).")
        width, height = self.size or (0, 0)
        pixels = pixels_of(given, max(MAX_PIXELS, width * height))
        return PIL.Image.fromarray(draw_detections(pixels, self, self._classes))

    def show(self) -> None:
        """Show the image with its detections: in a notebook, or in a window."""
        if _in_notebook():
            from IPython.display import display

            display(self)  # type: ignore[no-untyped-call]
        else:
            self.draw().show()

    @public
    def to_coco(self, image_id: str | int | None = None) -> list[dict[str, Any]]:
        """One entry per detection, as in COCO results and `frcnn detect --json`.

        Keys: image_id, category_id (1..K), category, bbox (x, y, width, height) and score.
        image_id: used instead of the file's name.
        """
        from frcnn_cli.engine.detection.results import coco_entries

        given = self.image_id if image_id is None else image_id
        return coco_entries(given, self, self._classes)

    def to_numpy(self) -> NDArray[np.float32]:
        """One row (x1, y1, x2, y2, score, label) per detection: float32 (N, 6)."""
        columns = (self.boxes, self.scores[:, None], self.labels[:, None])
        return np.concatenate(columns, axis=1).astype(np.float32)

    def to_supervision(self) -> supervision.Detections:
        """Convert to `supervision.Detections`; requires the package supervision.

        Its corners are exclusive: x2 and y2 are larger by 1, so that a box keeps its width.
        class_id is 0-based: an index into `class_names`.
        """
        try:
            import supervision
        except ImportError as error:
            raise Error(
                "to_supervision needs the package supervision: pip install supervision"
            ) from error

        return supervision.Detections(
            xyxy=self.boxes + np.array([0, 0, 1, 1], np.float32),
            confidence=self.scores,
            class_id=self.labels - 1,
            data={"class_name": np.array(self.names, dtype=str)},
        )

    def _repr_png_(self) -> bytes | None:
        """The drawn image, for notebooks; None without an image."""
        if self.image is None:
            return None
        picture = self.draw()
        picture.thumbnail((_LONGEST_IN_NOTEBOOK, _LONGEST_IN_NOTEBOOK))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return buffer.getvalue()

    def _repr_html_(self) -> str | None:
        """A table, for notebooks; None with an image, which is drawn instead."""
        if self.image is not None:
            return None
        rows = "".join(
            f"<tr><td>{html.escape(each.name)}</td><td>{each.score:.3f}</td>"
            + "".join(f"<td>{value:.1f}</td>" for value in each.box)
            + "</tr>"
            for each in list(self)[:_ROWS]
        )
        names = ("class", "score", "x1", "y1", "x2", "y2")
        heading = "".join(f"<th>{name}</th>" for name in names)
        return f"<table><tr>{heading}</tr>{rows}</table>"


def _in_notebook() -> bool:
    """Whether this is IPython with a frontend that displays images."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


@dataclass(frozen=True)
class DetectedFiles:
    """Detections in many files.

    detections: by image id, in the order of the files. failures: a message for each file that could
    not be read, or whose proposals could not be computed.
    """

    detections: dict[str, Detections]
    failures: tuple[str, ...]
