"""Records of a COCO data set: what its json says beyond the engine's own records."""

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
