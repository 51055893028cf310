"""Several data sets as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from frcnn_cli.engine.datasets.coco_records import CocoDataset
from frcnn_cli.engine.records import Dataset, ImageRecord
from frcnn_proposals.errors import InputError


def unite(members: Sequence[Dataset]) -> Dataset:
    """The members' images in order, in one set of classes.

    Classes are those of the first member, then the further ones of each next member; labels
    are renumbered. An image id that occurs in two members is written 'member/id' in both.
    An object of a class that its own member does not annotate counts as background there.
    """
    if len(members) == 1:
        return members[0]
    classes = tuple(dict.fromkeys(name for member in members for name in member.classes))
    occurrences = Counter(image.image_id for member in members for image in member.images)
    images = tuple(
        _adopted(image, member, classes, rename=occurrences[image.image_id] > 1)
        for member in members
        for image in member.images
    )
    name = "+".join(member.name for member in members)
    return Dataset(name, members[0].split, classes, images)


def concatenate(parts: Sequence[Dataset], split: str) -> Dataset:
    """Splits of one data set as one split."""
    first = parts[0]
    images = tuple(image for part in parts for image in part.images)
    together = replace(first, split=split, images=images)
    if isinstance(together, CocoDataset):
        numbers: dict[str, int] = {}
        for part in parts:
            if not isinstance(part, CocoDataset) or part.class_numbers != together.class_numbers:
                raise InputError(f"{first.name}: its train and val differ in their categories")
            numbers |= part.image_numbers
        return replace(together, image_numbers=numbers)
    return together


def _adopted(
    image: ImageRecord, member: Dataset, classes: tuple[str, ...], rename: bool
) -> ImageRecord:
    if rename:
        image = replace(image, image_id=f"{member.name}/{image.image_id}")
    if image.truth is None or member.classes == classes[: len(member.classes)]:
        return image
    new_label = np.array([0, *(classes.index(name) + 1 for name in member.classes)])
    return replace(image, truth=replace(image.truth, labels=new_label[image.truth.labels]))
