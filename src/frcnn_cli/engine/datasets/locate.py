"""Locate datasets: those that the user names (voc2007, a path, a union with +), or all."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from frcnn_cli.engine.datasets.download.known import DOWNLOADS
from frcnn_cli.engine.datasets.layout import Layout
from frcnn_cli.engine.datasets.layouts import layout_at, layouts_in
from frcnn_cli.engine.datasets.readers.coco import CocoLayout
from frcnn_cli.engine.datasets.readers.voc import VOC_CLASSES, VocLayout
from frcnn_proposals.errors import InputError, MisuseError

KNOWN_NAMES = ("voc2007", "voc2012", "coco2017")
_VOC_NAME = re.compile(r"voc(20\d\d)", re.IGNORECASE)
_VOC_FOLDER = re.compile(r"VOC(devkit|20\d\d)")  # found by the names above


@dataclass(frozen=True)
class Located:
    """A data set that was found: the name it goes by and how to read it."""

    name: str
    layout: Layout


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
    if name == "coco2017":
        for root in roots:
            for folder in (root / "coco", root / "coco2017", root):
                if (folder / "annotations" / "instances_val2017.json").is_file():
                    return CocoLayout(folder)
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


def _not_found(name: str, roots: Sequence[Path]) -> str:
    """Names like it, the known ones, and where they were looked for."""
    folders = [
        entry.name
        for root in roots
        if root.is_dir()
        for entry in sorted(root.iterdir())
        if entry.is_dir() and not _VOC_FOLDER.fullmatch(entry.name) and layouts_in(entry)
    ]
    known = sorted({*KNOWN_NAMES, *folders})
    near = get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near and name not in near else ""
    looked = ", ".join(str(root) for root in roots)
    return (
        f"There is no data set {name!r} in {looked}, nor at that path.{hint}\n"
        f"Known: {', '.join(known)}, a path to a data set, or a union such as voc2007+voc2012.\n"
        "Point to the folder with --data-root or $FRCNN_DATA"
        + (f"; `frcnn data download {name}` fetches it." if name in DOWNLOADS else ".")
    )


@dataclass(frozen=True)
class FoundDataset:
    """name: what to call it on a command line; splits: each with whether it is annotated.

    problem: why its splits cannot be told, else None.
    """

    name: str
    kind: str
    root: Path
    splits: dict[str, bool]
    problem: str | None = None


def list_datasets(data_root: Path | None = None) -> tuple[FoundDataset, ...]:
    """Every dataset in the folders that find_dataset searches, the known names first.

    A name that more than one folder has is listed once, where it would be found.
    """
    found: dict[Path, FoundDataset] = {}
    names = [*KNOWN_NAMES]
    for root in data_roots(data_root):
        if root.is_dir():
            names += [entry.name for entry in sorted(root.iterdir()) if layouts_in(entry)]
    for name in dict.fromkeys(names):
        try:
            layout = locate(name, data_root)[0].layout
        except MisuseError:
            continue
        found.setdefault(layout.root.resolve(), _described(name, layout))
    return tuple(found.values())


def _described(name: str, layout: Layout) -> FoundDataset:
    try:
        return FoundDataset(name, layout.kind, layout.root, dict(layout.splits()))
    except InputError as error:
        return FoundDataset(name, layout.kind, layout.root, {}, str(error))
