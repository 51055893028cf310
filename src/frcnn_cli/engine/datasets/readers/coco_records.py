"""Records of a COCO data set: what its json says beyond the engine's own records, and the
numbers that COCO files use for images and classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.records import Dataset, GroundTruth


@dataclass(frozen=True)
class SizedTruth(GroundTruth):
    """Objects whose size is not their box's: COCO sorts them into small, medium and large by
    the area of the segmentation. area: float64 (N,), in pixels."""

    area: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class CocoDataset(Dataset):
    """A data set whose images and classes have numbers in its json, which results refer to.

    image_numbers: by image id; class_numbers: one a class, in order of label.
    """

    image_numbers: Mapping[str, int] = field(default_factory=dict)
    class_numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Numbering:
    """image_id -> number, and label -> number by place (classes[0] is label 1's)."""

    images: Mapping[str, int]
    classes: tuple[int, ...]


def numbering(dataset: Dataset) -> Numbering:
    """The numbers of a data set's own json; without one, those that its names suggest.

    An id such as 000012 is image 12. Where ids are not all numbers, or two would be the same
    one, images are counted from 1 in order. Classes without numbers have their labels'.
    """
    if isinstance(dataset, CocoDataset):
        return Numbering(dataset.image_numbers, dataset.class_numbers)
    ids = [image.image_id for image in dataset.images]
    classes = tuple(range(1, len(dataset.classes) + 1))
    # 15 digits stay exact in programs that keep numbers as doubles.
    if all(name.isascii() and name.isdigit() and len(name) <= 15 for name in ids):
        numbers = [int(name) for name in ids]
        if len(set(numbers)) == len(numbers):
            return Numbering(dict(zip(ids, numbers, strict=True)), classes)
    return Numbering({name: number for number, name in enumerate(ids, start=1)}, classes)
