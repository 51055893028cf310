"""A warning for proposals that cover the objects less well than random boxes do.

A file whose corners are in another order or unit, or whose image ids are those of other images, is
read without an error. Its recall shows the mistake: any method that looks at the image covers the
objects better than as many random boxes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.evaluation.recall import Coverage, evaluate_recall
from frcnn_cli.engine.records import Dataset, ImageRecord
from frcnn_cli.engine.reporter import Reporter
from frcnn_cli.engine.seeds import generator_for
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import image_size
from frcnn_proposals.wording import counted

# On VOC's objects, selective search has 1.6 to 2.2 times the average recall of as many random boxes
# (100 to 2,000 per image), and sliding windows 0.9 to 1.0 times. With boxes of other images, or
# with x and y exchanged, selective search has 0.58 to 0.79 times.
SHARE = 0.75
# The first images and boxes are enough; with fewer objects than this, chance decides.
_IMAGES, _BOXES, _OBJECTS = 200, 2000, 30
# Random boxes must reach so many objects at IoU 0.5 that missing them cannot be chance.
_REACHED = 10


def warn_of_low_recall(
    dataset: Dataset, proposals: Mapping[str, Proposals], name: str, reporter: Reporter
) -> None:
    """Report proposals whose average recall (Hosang) is below SHARE of that of random boxes.

    Up to 200 images, spread over the dataset, and the best 2,000 proposals of each are compared.
    name: of the file.
    """
    step = max(1, len(dataset.images) // _IMAGES)
    sizes = {
        record.image_id: size
        for record in dataset.images[::step][:_IMAGES]
        if record.truth is not None and (size := _size_of(record)) is not None
    }
    part = replace(dataset, images=tuple(r for r in dataset.images if r.image_id in sizes))
    given = {image_id: proposals[image_id].top(_BOXES) for image_id in sizes}
    by_chance = {
        image_id: Proposals(random_boxes(image_id, len(given[image_id]), size))
        for image_id, size in sizes.items()
    }
    own, chance = (_coverage(part, boxes) for boxes in (given, by_chance))
    if chance.objects < _OBJECTS or chance.recall_50 * chance.objects < _REACHED:
        return
    if own.average_recall >= SHARE * chance.average_recall:
        return
    boxes = np.mean([len(boxes) for boxes in given.values()])
    images = counted(len(sizes), "image")
    reporter.warn(
        f"{name}: the average recall (Hosang) of its boxes is {own.average_recall:.3f}, that of as "
        f"many random boxes {chance.average_recall:.3f} ({images}, {boxes:,.0f} boxes per image). "
        "Probably the order or unit of the corners, or the image ids, are wrong: `frcnn proposals "
        "draw` shows the boxes, and `frcnn proposals inspect` how they are read."
    )


def random_boxes(image_id: str, count: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes (count, 4) between two uniform points of an image of `size` (width, height)."""
    points = generator_for("random boxes", image_id).uniform(size=(2, count, 2))
    corners = np.sort(points, axis=0) * (np.array(size) - 1)
    return np.concatenate(corners, axis=1).astype(np.float32)


def _coverage(dataset: Dataset, proposals: Mapping[str, Proposals]) -> Coverage:
    return evaluate_recall(dataset, proposals).all_objects.overall


def _size_of(record: ImageRecord) -> tuple[int, int] | None:
    """(width, height) of an image; None if its file cannot be read."""
    if record.width and record.height:
        return record.width, record.height
    try:
        return image_size(record.path)
    except InputError:
        return None
