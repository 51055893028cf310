"""Read one split of a dataset, or of a union of datasets, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from frcnn_cli.engine.datasets.layout import Layout, Report, raise_on_fault
from frcnn_cli.engine.datasets.locate import Located, locate
from frcnn_cli.engine.datasets.readers.coco_records import CocoDataset
from frcnn_cli.engine.datasets.readers.image_labels import ClassFolders, LabelTable
from frcnn_cli.engine.datasets.readers.voc import VocLayout
from frcnn_cli.engine.datasets.split_parts import EVERY, parse_part
from frcnn_cli.engine.records import Dataset, ImageLabels, ImageRecord
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.image_ids import repeated_ids


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
        another member has it (the test split of voc2007+voc2012 is that of VOC2007). An image id
        that occurs in two members, in any of their splits, becomes 'member/id' in both.
    split: 'train', 'val', 'trainval', 'test' or 'all'; a missing trainval is combined from train
        and val. Or a part of a split, as in `parse_part`.
    data_root: searched first, then $FRCNN_DATA, then ./data. It may be VOCdevkit, its parent
        folder, or VOC2007 itself.
    report: is called with each fault in the files; the default raises at the first.

    Raises MisuseError for an unknown dataset or split, InputError for a faulty file.
    """
    part = parse_part(split)
    if part is not None:
        return part.of(find_dataset(name, part.split, data_root, report))
    located = locate(name, data_root)
    members = [
        member for member in located if split == EVERY or split in _all_splits(member.layout)
    ]
    if not members:
        raise MisuseError(_no_such_split(split, located))
    for fault in (fault for member in members for fault in member.layout.omitted().values()):
        report(fault)
    repeated = _repeated_ids(located)
    labels = _labels([member.name for member in located])
    datasets = [_read(member, split, report) for member in members]
    return unite([_renamed(data, repeated, labels[data.name]) for data in datasets])


def available_splits(name: str, data_root: Path | None = None) -> dict[str, bool]:
    """Map the splits of a dataset, or of any member of a union, to whether they are annotated."""
    splits: dict[str, bool] = {}
    for member in locate(name, data_root):
        for split, annotated in _all_splits(member.layout).items():
            splits[split] = splits.get(split, False) or annotated
    return splits


def all_ids(name: str, data_root: Path | None = None) -> set[str]:
    """The image ids of all splits of a dataset or union."""
    located = locate(name, data_root)
    repeated, labels = _repeated_ids(located), _labels([member.name for member in located])
    return {
        f"{labels[member.name]}/{image_id}" if image_id in repeated else image_id
        for member in located
        for image_id in _ids_of(member.layout)
    }


def default_splits(
    name: str, data_root: Path | None = None, labels_suffice: bool = False
) -> DefaultSplits:
    """Return trainval and test if the test split has annotations, otherwise train and val.

    If only one split has annotations, it is used for both. If no split has annotations, raises
    MisuseError, unless labels_suffice: trainval, train or the first split is then for training, and
    none for evaluation.
    """
    annotated = [
        split for split, has_truth in available_splits(name, data_root).items() if has_truth
    ]
    for training, evaluation in (("trainval", "test"), ("train", "test"), ("train", "val")):
        if training in annotated and evaluation in annotated:
            return DefaultSplits(training, evaluation)
    if not annotated and labels_suffice:
        known = list(available_splits(name, data_root))
        return DefaultSplits(next(s for s in ("trainval", "train", *known) if s in known), "")
    if not annotated:
        labelled = all(_has_labels(member.layout) for member in locate(name, data_root))
        hint = "\nIt has labels of images: train with --variant wsddn or --variant oicr."
        raise MisuseError(
            f"Dataset {name!r} has no annotations to train or evaluate on."
            f"{hint if labelled else ''}"
        )
    return DefaultSplits(annotated[0], annotated[0])


def _has_labels(layout: Layout) -> bool:
    """Whether a dataset without annotations has labels of images."""
    if isinstance(layout, VocLayout):
        return layout.has_labels()
    return isinstance(layout, LabelTable | ClassFolders)


def _all_splits(layout: Layout) -> dict[str, bool]:
    """The layout's splits, plus trainval if train and val exist."""
    splits = dict(layout.splits())
    if "train" in splits and "val" in splits:
        splits.setdefault("trainval", splits["train"] and splits["val"])
    return splits


def _no_such_split(split: str, members: Sequence[Located]) -> str:
    """Create the message for a split that no member has, with the reason if it is omitted."""
    existing = (
        f"{member.name} ({member.layout.root}) has "
        + (", ".join(_all_splits(member.layout)) or "none")
        for member in members
    )
    needed = ("train", "val", "trainval") if split == "trainval" else (split,)
    reasons = (
        f"{fault}."
        for member in members
        for name, fault in member.layout.omitted().items()
        if name in needed
    )
    return "\n".join([f"Unknown split {split!r}: {'; '.join(existing)}.", *reasons])


def _read(member: Located, split: str, report: Report) -> Dataset:
    layout, name = member.layout, member.name
    if split == EVERY:
        parts = [layout.read(part, name, report) for part in layout.splits()]
        return concatenate(parts, split)
    if split == "trainval" and split not in layout.splits():
        return concatenate([layout.read(part, name, report) for part in ("train", "val")], split)
    return layout.read(split, name, report)


def unite(members: Sequence[Dataset]) -> Dataset:
    """Combine the members into one dataset: all images, in order, with one list of classes.

    The classes are those of the first member, then the additional ones of each next member;
    labels are renumbered. Objects of a class that a member does not annotate count as background
    in its images.
    """
    if len(members) == 1:
        return members[0]
    classes = tuple(dict.fromkeys(name for member in members for name in member.classes))
    images = tuple(
        _in_union(image, member, classes) for member in members for image in member.images
    )
    name = "+".join(member.name for member in members)
    return Dataset(name, members[0].split, classes, images)


def _ids_of(layout: Layout) -> set[str]:
    return {image_id for split in layout.splits() for image_id, _ in layout.images(split)}


def _repeated_ids(members: Sequence[Located]) -> set[str]:
    """The ids that occur in several members of a union, whichever the split."""
    if len(members) == 1:
        return set()
    return repeated_ids(image_id for member in members for image_id in _ids_of(member.layout))


def _labels(names: Sequence[str]) -> dict[str, str]:
    """What stands before the ids of each member: its name, without folders if that is enough."""
    short = [Path(name).name for name in names]
    distinct = all(short) and len(set(short)) == len(short)
    return dict(zip(names, short if distinct else names, strict=True))


def _renamed(dataset: Dataset, repeated: set[str], label: str) -> Dataset:
    """The dataset with `label/` before those of its image ids that are in `repeated`."""
    if not repeated:
        return dataset
    ids = {
        image.image_id: f"{label}/{image.image_id}"
        for image in dataset.images
        if image.image_id in repeated
    }
    images = tuple(
        replace(image, image_id=ids.get(image.image_id, image.image_id)) for image in dataset.images
    )
    if isinstance(dataset, CocoDataset):
        numbers = {ids.get(name, name): number for name, number in dataset.image_numbers.items()}
        return replace(dataset, images=images, image_numbers=numbers)
    return replace(dataset, images=images)


def concatenate(parts: Sequence[Dataset], split: str) -> Dataset:
    """Combine splits of one dataset into one split. An image in several of them is used once."""
    first, by_id = parts[0], dict[str, ImageRecord]()
    for image in (image for part in parts for image in part.images):
        by_id.setdefault(image.image_id, image)
    images = tuple(by_id.values())
    combined = replace(first, split=split, images=images)
    if isinstance(combined, CocoDataset):
        numbers: dict[str, int] = {}
        for part in parts:
            if not isinstance(part, CocoDataset) or part.class_numbers != combined.class_numbers:
                raise InputError(f"{first.name}: train and val have different categories")
            numbers |= part.image_numbers
        if len(set(numbers.values())) < len(numbers):  # both files count from 1
            numbers = {image.image_id: number for number, image in enumerate(images, start=1)}
        return replace(combined, image_numbers=numbers)
    return combined


def _in_union(image: ImageRecord, member: Dataset, classes: tuple[str, ...]) -> ImageRecord:
    if member.classes == classes[: len(member.classes)]:
        return image
    new_label = np.array([0, *(classes.index(name) + 1 for name in member.classes)])
    if image.labels is not None:
        present, uncertain = (
            tuple(sorted(int(new_label[label]) for label in labels))
            for labels in (image.labels.present, image.labels.uncertain)
        )
        image = replace(image, labels=ImageLabels(present, uncertain))
    if image.truth is None:
        return image
    return replace(image, truth=replace(image.truth, labels=new_label[image.truth.labels]))
