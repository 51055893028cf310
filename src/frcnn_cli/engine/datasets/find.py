"""Read one split of a dataset, or of a union of datasets, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from frcnn_cli.engine.datasets.layout import Layout, Report, raise_on_fault
from frcnn_cli.engine.datasets.locate import Located, locate
from frcnn_cli.engine.datasets.readers.coco_records import CocoDataset
from frcnn_cli.engine.records import Dataset, ImageRecord
from frcnn_proposals.errors import InputError, MisuseError


@dataclass(frozen=True)
class DefaultSplits:
    """The default splits to train and to evaluate on.

    disjoint: whether the two have no image in common.
    """

    training: str
    evaluation: str

    @property
    def disjoint(self) -> bool:
        return self.training != self.evaluation


def find_dataset(
    name: str, split: str, data_root: Path | None = None, report: Report = raise_on_fault
) -> Dataset:
    """Find and read one split of a dataset, or of a union of datasets.

    name: 'voc2007', 'voc2012', 'coco2017', a path, the name of a folder in a data root, or
        several of these joined with '+'. In a union, members without the split are skipped if
        another member has it (the test split of voc2007+voc2012 is that of VOC2007).
    split: 'train', 'val', 'trainval', 'test' or 'all'; a missing trainval is combined from train
        and val.
    data_root: searched first, then $FRCNN_DATA, then ./data. It may be VOCdevkit, its parent
        folder, or VOC2007 itself.
    report: is called with each fault in the files; the default raises at the first.

    Raises MisuseError for an unknown dataset or split, InputError for a faulty file.
    """
    located = locate(name, data_root)
    members = [member for member in located if split in _all_splits(member.layout)]
    if not members:
        existing = (
            f"{member.name} ({member.layout.root}) has "
            + (", ".join(_all_splits(member.layout)) or "none")
            for member in located
        )
        raise MisuseError(f"Unknown split {split!r}: {'; '.join(existing)}.")
    return unite([_read(member, split, report) for member in members])


def available_splits(name: str, data_root: Path | None = None) -> dict[str, bool]:
    """Map the splits of a dataset, or of any member of a union, to whether they are annotated."""
    splits: dict[str, bool] = {}
    for member in locate(name, data_root):
        for split, annotated in _all_splits(member.layout).items():
            splits[split] = splits.get(split, False) or annotated
    return splits


def default_splits(name: str, data_root: Path | None = None) -> DefaultSplits:
    """Return trainval and test if the test split has annotations, otherwise train and val.

    If only one split has annotations, it is used for both. Raises MisuseError if no split has
    annotations.
    """
    annotated = [
        split for split, has_truth in available_splits(name, data_root).items() if has_truth
    ]
    for training, evaluation in (("trainval", "test"), ("train", "test"), ("train", "val")):
        if training in annotated and evaluation in annotated:
            return DefaultSplits(training, evaluation)
    if not annotated:
        raise MisuseError(f"Dataset {name!r} has no annotations to train or evaluate on.")
    return DefaultSplits(annotated[0], annotated[0])


def _all_splits(layout: Layout) -> dict[str, bool]:
    """The layout's splits, plus trainval if train and val exist."""
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
    """Combine the members into one dataset: all images, in order, with one list of classes.

    The classes are those of the first member, then the additional ones of each next member;
    labels are renumbered. An image id that occurs in two members becomes 'member/id' in both.
    Objects of a class that a member does not annotate count as background in its images.
    """
    if len(members) == 1:
        return members[0]
    classes = tuple(dict.fromkeys(name for member in members for name in member.classes))
    occurrences = Counter(image.image_id for member in members for image in member.images)
    images = tuple(
        _in_union(image, member, classes, rename=occurrences[image.image_id] > 1)
        for member in members
        for image in member.images
    )
    name = "+".join(member.name for member in members)
    return Dataset(name, members[0].split, classes, images)


def concatenate(parts: Sequence[Dataset], split: str) -> Dataset:
    """Combine splits of one dataset into one split."""
    first = parts[0]
    images = tuple(image for part in parts for image in part.images)
    combined = replace(first, split=split, images=images)
    if isinstance(combined, CocoDataset):
        numbers: dict[str, int] = {}
        for part in parts:
            if not isinstance(part, CocoDataset) or part.class_numbers != combined.class_numbers:
                raise InputError(f"{first.name}: train and val have different categories")
            numbers |= part.image_numbers
        return replace(combined, image_numbers=numbers)
    return combined


def _in_union(
    image: ImageRecord, member: Dataset, classes: tuple[str, ...], rename: bool
) -> ImageRecord:
    if rename:
        image = replace(image, image_id=f"{member.name}/{image.image_id}")
    if image.truth is None or member.classes == classes[: len(member.classes)]:
        return image
    new_label = np.array([0, *(classes.index(name) + 1 for name in member.classes)])
    return replace(image, truth=replace(image.truth, labels=new_label[image.truth.labels]))
