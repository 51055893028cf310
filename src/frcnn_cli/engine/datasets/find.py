"""From what the user wrote (voc2007, a path, a union with +) to a data set that is read."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from frcnn_cli.engine.datasets.layout import Layout, Report, refuse
from frcnn_cli.engine.datasets.layouts import layout_at, layout_inside
from frcnn_cli.engine.datasets.union import unite
from frcnn_cli.engine.datasets.voc import VOC_CLASSES, VocLayout
from frcnn_cli.engine.records import Dataset
from frcnn_proposals.errors import MisuseError

KNOWN_NAMES = ("voc2007", "voc2012")
_VOC_NAME = re.compile(r"voc(20\d\d)", re.IGNORECASE)
_VOC_FOLDER = re.compile(r"VOC(devkit|20\d\d)")  # found by the names above


@dataclass(frozen=True)
class Located:
    """A data set that was found: the name it goes by and how to read it."""

    name: str
    layout: Layout


@dataclass(frozen=True)
class DefaultSplits:
    """What to train on and what to judge on where the user names no split."""

    training: str
    evaluation: str


def find_dataset(
    name: str, split: str, data_root: Path | None = None, report: Report = refuse
) -> Dataset:
    """Find and read one split of a data set, or of a union of them.

    name: 'voc2007', 'voc2012', a path, a folder's name under a data root, or several of
        these joined with '+'. In a union, members that lack the split are left out as long
        as one has it (voc2007+voc2012 has the test images of VOC2007).
    split: 'train', 'val', 'trainval' or 'test', as far as it is there; trainval is put
        together from train and val where it is not.
    data_root: looked in first, then $FRCNN_DATA, then ./data. It may be VOCdevkit, the
        folder above it, or VOC2007 itself.
    report: is told each fault in the files; the default raises at the first.

    Raises MisuseError for an unknown data set or split, InputError for a faulty file.
    """
    located = locate(name, data_root)
    having = [member for member in located if _has(member.layout, split)]
    if not having:
        raise MisuseError(_no_such_split(located, split))
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

    So that nothing is judged on what it was trained on. Raises MisuseError where the data
    set has neither.
    """
    splits = available_splits(name, data_root)
    training = next((split for split in ("trainval", "train") if splits.get(split)), None)
    if splits.get("test") and training:
        return DefaultSplits(training, "test")
    if splits.get("val") and splits.get("train"):
        return DefaultSplits("train", "val")
    there = ", ".join(splits) or "none"
    raise MisuseError(
        f"Data set {name!r} has no annotated test or val split beside one to train on"
        f" (there: {there}).\nName one with --split, or lay out its splits (docs/datasets.md)."
    )


def locate(name: str, data_root: Path | None = None) -> list[Located]:
    """Where each member of a data set or union lies. Raises MisuseError where one does not."""
    members = [part.strip() for part in name.split("+")]
    # A path may itself hold a plus sign.
    if Path(name).exists():
        members = [name]
    if "" in members or len(set(members)) < len(members):
        raise MisuseError(f"Data set {name!r}: write a union as voc2007+voc2012, each once.")
    roots = data_roots(data_root)
    return [Located(member, _locate_one(member, roots)) for member in members]


def data_roots(data_root: Path | None) -> list[Path]:
    """The folders that data sets are looked for in, in order."""
    from_environment = os.environ.get("FRCNN_DATA")
    roots = [data_root, Path(from_environment) if from_environment else None, Path("data")]
    return [root for root in roots if root is not None]


def _locate_one(name: str, roots: Sequence[Path]) -> Layout:
    if match := _VOC_NAME.fullmatch(name):
        for root in roots:
            if found := _voc_under(root, f"VOC{match[1]}"):
                return VocLayout(found, VOC_CLASSES)
    path = Path(name)
    if path.exists():
        return layout_at(path)
    for root in roots:
        if not path.is_absolute() and (root / name).exists():
            return layout_at(root / name)
    raise MisuseError(_not_found(name, roots))


def _voc_under(root: Path, year: str) -> Path | None:
    """The folder of one VOC year at, in or two levels under `root`."""
    for candidate in (root / "VOCdevkit" / year, root / year):
        if VocLayout.is_at(candidate):
            return candidate
    another_year = _VOC_NAME.fullmatch(root.resolve().name) and root.resolve().name.upper() != year
    return root if VocLayout.is_at(root) and not another_year else None


def _has(layout: Layout, split: str) -> bool:
    return split in _all_splits(layout)


def _all_splits(layout: Layout) -> dict[str, bool]:
    """The layout's splits, with trainval where train and val are there."""
    splits = dict(layout.splits())
    if "train" in splits and "val" in splits:
        splits.setdefault("trainval", splits["train"] and splits["val"])
    return splits


def _read(member: Located, split: str, report: Report) -> Dataset:
    layout, name = member.layout, member.name
    if split == "trainval" and split not in layout.splits():
        train, val = (layout.read(part, name, report) for part in ("train", "val"))
        return Dataset(name, split, train.classes, train.images + val.images)
    return layout.read(split, name, report)


def _no_such_split(located: Sequence[Located], split: str) -> str:
    there = (
        f"{member.name} ({member.layout.root}) has "
        + (", ".join(_all_splits(member.layout)) or "none")
        for member in located
    )
    return f"There is no split {split!r}: {'; '.join(there)}."


def _not_found(name: str, roots: Sequence[Path]) -> str:
    """Names like it, the known ones, and where they were looked for."""
    folders = [
        entry.name
        for root in roots
        if root.is_dir()
        for entry in sorted(root.iterdir())
        if entry.is_dir() and not _VOC_FOLDER.fullmatch(entry.name) and layout_inside(entry)
    ]
    known = sorted({*KNOWN_NAMES, *folders})
    near = get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near and name not in near else ""
    looked = ", ".join(str(root) for root in roots)
    return (
        f"There is no data set {name!r} in {looked}, nor at that path.{hint}\n"
        f"Known: {', '.join(known)}, a path to a data set, or a union such as voc2007+voc2012.\n"
        "Point to the folder with --data-root or $FRCNN_DATA."
    )
