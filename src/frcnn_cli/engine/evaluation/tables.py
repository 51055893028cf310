"""Ground truth and detections of a whole dataset, in flat arrays.

Legend: G ground-truth objects, D detections, in the dataset's order of images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.records import Dataset, Detections, GroundTruth
from frcnn_proposals.errors import MisuseError


@dataclass(frozen=True)
class TruthTable:
    """The objects of a dataset.

    boxes (G, 4) float64; image (G,) index into the dataset; label (G,) 1..K; ignored (G,) bool:
    difficult, or a crowd.
    """

    boxes: NDArray[np.float64]
    image: NDArray[np.int64]
    label: NDArray[np.int64]
    ignored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, indices: NDArray[np.int64]) -> TruthTable:
        """The objects at `indices`."""
        return TruthTable(
            self.boxes[indices], self.image[indices], self.label[indices], self.ignored[indices]
        )


@dataclass(frozen=True)
class DetectionTable:
    """Detections on the images of a dataset, highest score first.

    boxes (D, 4) float64; score (D,); image (D,) index into the dataset; label (D,) 1..K. Equal
    scores keep the dataset's order of images, and the order within an image. outside: number of
    other detections, on images that are not in the dataset.
    """

    boxes: NDArray[np.float64]
    score: NDArray[np.float64]
    image: NDArray[np.int64]
    label: NDArray[np.int64]
    outside: int = 0

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> DetectionTable:
        """The detections at `rows`, indices or flags, without those on other images."""
        return DetectionTable(
            self.boxes[rows], self.score[rows], self.image[rows], self.label[rows]
        )


def truth_table(dataset: Dataset) -> TruthTable:
    """The objects of a dataset. Raises MisuseError if an image has no annotation."""
    truths = [_truth(dataset, index) for index in range(len(dataset))]
    counts = [len(truth) for truth in truths]
    return TruthTable(
        _stack([truth.boxes for truth in truths], np.float64, columns=4),
        np.repeat(np.arange(len(truths)), counts),
        _stack([truth.labels for truth in truths], np.int64),
        _stack([truth.difficult | np.asarray(truth.crowd) for truth in truths], np.bool_),
    )


def detection_table(dataset: Dataset, detections: Mapping[str, Detections]) -> DetectionTable:
    """The detections on a dataset's images, sorted by score.

    Raises ValueError for a label outside 1..K or a score of NaN.
    """
    ids = [image.image_id for image in dataset.images]
    found = [(index, detections[name]) for index, name in enumerate(ids) if name in detections]
    counts = [len(detected) for _, detected in found]
    score = _stack([detected.scores for _, detected in found], np.float64)
    label = _stack([detected.labels for _, detected in found], np.int64)
    if len(label) and not 1 <= label.min() <= label.max() <= len(dataset.classes):
        raise ValueError(f"labels are {label.min()}..{label.max()}, not 1..{len(dataset.classes)}")
    if np.isnan(score).any():
        raise ValueError("a detection's score is not a number")
    order = np.argsort(-score, kind="stable")
    return DetectionTable(
        _stack([detected.boxes for _, detected in found], np.float64, columns=4)[order],
        score[order],
        np.repeat(np.array([index for index, _ in found], np.int64), counts)[order],
        label[order],
        outside=sum(len(detected) for detected in detections.values()) - len(score),
    )


def by_class(labels: NDArray[np.int64], classes: int) -> list[NDArray[np.int64]]:
    """The rows of each class 1..K, in their order."""
    return rows_by_group(labels - 1, np.arange(len(labels)), classes)


def rows_by_group(
    group: NDArray[np.int64], rows: NDArray[np.int64], groups: int
) -> list[NDArray[np.int64]]:
    """The `rows` of a table in each group 0..groups - 1, in their order.

    group: of every row of the table. One sort, where a comparison per group would take
    groups x rows steps.
    """
    order = rows[np.argsort(group[rows], kind="stable")]
    return np.split(order, np.searchsorted(group[order], np.arange(1, groups)))


def by_name(per_class: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Per-class records as JSON values: by class name, the other fields."""
    fields = [asdict(item) for item in per_class]
    return {values.pop("name"): values for values in fields}


def _truth(dataset: Dataset, index: int) -> GroundTruth:
    truth = dataset.images[index].truth
    if truth is None:
        raise MisuseError(
            f"{dataset.name} {dataset.split}: image {dataset.images[index].image_id} has no "
            "annotation, so nothing can be evaluated on this split."
        )
    return truth


def _stack(arrays: list, dtype: type, columns: int | None = None) -> NDArray:
    shape = (0,) if columns is None else (0, columns)
    return np.concatenate([np.zeros(shape, dtype), *arrays]).astype(dtype, copy=False)
