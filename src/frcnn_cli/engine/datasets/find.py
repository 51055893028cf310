"""Reading what the user named: one split of a data set, or of a union of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from frcnn_cli.engine.datasets.layout import Layout, Report, refuse
from frcnn_cli.engine.datasets.locate import Located, locate
from frcnn_cli.engine.datasets.readers.coco_records import CocoDataset
from frcnn_cli.engine.records import Dataset, ImageRecord
from frcnn_proposals.errors import InputError, MisuseError


@dataclass(frozen=True)
class DefaultSplits:
    """The splits to train and to evaluate on where the user names none.

    disjoint: whether the two have no image in common.
    """

    training: str
    evaluation: str

    @property
    def disjoint(self) -> bool:
        return self.training != self.evaluation


def find_dataset(
    name: str, split: str, data_root: Path | None = None, report: Report = refuse
) -> Dataset:
    """Find and read one split of a data set, or of a union of them.

    name: 'voc2007', 'voc2012', 'coco2017', a path, a folder's name under a data root, or several of
        these joined with '+'. In a union, members that lack the split are left out as long
        as one has it (voc2007+voc2012 has the test images of VOC2007).
    split: 'train', 'val', 'trainval', 'test' or 'all', as far as it is there; trainval is put
        together from train and val where it is not.
    data_root: looked in first, then $FRCNN_DATA, then ./data. It may be VOCdevkit, the
        folder above it, or VOC2007 itself.
    report: is told each fault in the files; the default raises at the first.

    Raises MisuseError for an unknown data set or split, InputError for a faulty file.
    """
    located = locate(name, data_root)
    having = [member for member in located if split in _all_splits(member.layout)]
    if not having:
        existing = (
            f"{member.name} ({member.layout.root}) has "
            + (", ".join(_all_splits(member.layout)) or "none")
            for member in located
        )
        raise MisuseError(f"There is no split {split!r}: {'; '.join(existing)}.")
    return unite([_read(member, split, report) for member in having])


def available_splits(name: str, data_root: Path | None = None) -> dict[str, bool]:
    """The splits of a data set (of a union: of any member), each with whether it is annotated."""
    splits: dict[str, bool] = {}
    for member in locate(name, data_root):
        for split, annotated in _all_splits(member.layout).items():
            splits[split] = splits.get(split, False) or annotated
    return splits


def default_splits(name: str, data_root: Path | None = None) -> DefaultSplits:
    """trainval and test where the test split has annotations, else train and val.

    A data set with one annotated split only has that one for both. Raises MisuseError where
    no split has annotations.
    """
    annotated = [split for split, has in available_splits(name, data_root).items() if has]
    for training, evaluation in (("trainval", "test"), ("train", "test"), ("train", "val")):
        if training in annotated and evaluation in annotated:
            return DefaultSplits(training, evaluation)
    if not annotated:
        raise MisuseError(f"Data set {name!r} has no annotations to train or to judge on.")
    return DefaultSplits(annotated[0], annotated[0])


def _all_splits(layout: Layout) -> dict[str, bool]:
    """The layout's splits, with trainval where train and val are there."""
    splits = dict(layout.splits())
    if "train" in splits and "val" in splits:
        splits.setdefault("trainval", splits["train"] and splits["val"])
    return splits


def _read(member: Located, split: str, report: Report) -> Dataset:
    layout, name = member.layout, member.name
    if split == "trainval" and split not in layout.splits():
        return concatenate([layout.read(part, name, report) for part in ("train", "val")], split)
    return layout.read(split, name, report)


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
    whole = replace(first, split=split, images=images)
    if isinstance(whole, CocoDataset):
        numbers: dict[str, int] = {}
        for part in parts:
            if not isinstance(part, CocoDataset) or part.class_numbers != whole.class_numbers:
                raise InputError(f"{first.name}: its train and val differ in their categories")
            numbers |= part.image_numbers
        return replace(whole, image_numbers=numbers)
    return whole


def _adopted(
    image: ImageRecord, member: Dataset, classes: tuple[str, ...], rename: bool
) -> ImageRecord:
    if rename:
        image = replace(image, image_id=f"{member.name}/{image.image_id}")
    if image.truth is None or member.classes == classes[: len(member.classes)]:
        return image
    new_label = np.array([0, *(classes.index(name) + 1 for name in member.classes)])
    return replace(image, truth=replace(image.truth, labels=new_label[image.truth.labels]))
