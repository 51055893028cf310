"""Locate datasets: by name (voc2007, a path, a union with +), or all of them."""

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
from frcnn_cli.engine.datasets.listing import folders_in, is_visible
from frcnn_cli.engine.datasets.readers.coco import CocoLayout
from frcnn_cli.engine.datasets.readers.voc import VOC_CLASSES, VocLayout
from frcnn_proposals.errors import InputError, MisuseError

KNOWN_NAMES = ("voc2007", "voc2012", "coco2017")
_VOC_NAME = re.compile(r"voc(20\d\d)", re.IGNORECASE)
_VOC_FOLDER = re.compile(r"VOC(devkit|20\d\d)")  # these folders are listed as voc2007, ...


@dataclass(frozen=True)
class Located:
    """A dataset that was found: its name and its layout."""

    name: str
    layout: Layout


def locate(name: str, data_root: Path | None = None) -> list[Located]:
    """Find each member of a dataset or union. Raises MisuseError if a member is not found."""
    members = members_of(name)
    if "" in members or len(set(members)) < len(members):
        raise MisuseError(f"Dataset {name!r}: write a union as voc2007+voc2012, each member once.")
    roots = data_roots(data_root)
    return [Located(member, _locate_one(member, roots)) for member in members]


def members_of(name: str) -> list[str]:
    """The members of a union, or the name of one dataset, as known names or paths."""
    # A path may itself contain a plus sign.
    return [name] if Path(name).exists() else [known_name(part) for part in name.split("+")]


def known_name(name: str) -> str:
    """The name without spaces around it; voc2007 for VOC2007, unless that is a path."""
    name = name.strip()
    is_known = _VOC_NAME.fullmatch(name) or name.lower() in KNOWN_NAMES
    return name.lower() if is_known and not Path(name).exists() else name


def data_roots(data_root: Path | None) -> list[Path]:
    """Return the folders to search for datasets, in order, each once."""
    from_environment = os.environ.get("FRCNN_DATA")
    roots = [data_root, Path(from_environment) if from_environment else None, Path("data")]
    once: dict[Path, Path] = {}
    for root in roots:
        if root is not None:
            once.setdefault(root.resolve(), root)
    return list(once.values())


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
    """Return the folder of one VOC year: `root`, or a folder one or two levels below it."""
    for candidate in (root / "VOCdevkit" / year, root / year):
        if VocLayout.is_at(candidate):
            return candidate
    another_year = _VOC_NAME.fullmatch(root.resolve().name) and root.resolve().name.upper() != year
    return root if VocLayout.is_at(root) and not another_year else None


def _not_found(name: str, roots: Sequence[Path]) -> str:
    """Create the message for an unknown name, with similar names and the searched folders."""
    folders = [
        entry.name
        for root in roots
        if root.is_dir()
        for entry in filter(is_visible, sorted(root.iterdir()))
        if entry.is_dir() and not _VOC_FOLDER.fullmatch(entry.name) and layouts_in(entry)
    ]
    known = sorted({*KNOWN_NAMES, *folders})
    near = get_close_matches(name.lower()[:100], known, n=3, cutoff=0.5)
    near = _near_folders(Path(name[:1000])) or near
    hint = f"Did you mean {' or '.join(near)}? " if near and name not in near else ""
    searched = ", ".join(str(root) for root in roots)
    problem = (
        f"Dataset {name}: not found in {searched}.\n"
        if name in KNOWN_NAMES
        else f"Unknown dataset {name!r}: not found in {searched}, and not a path.\n"
        f"{hint}Known: {', '.join(known)}, a path to a dataset, or a union such as "
        "voc2007+voc2012.\n"
    )
    download = f", or run `frcnn data download {name}`." if name in DOWNLOADS else "."
    return f"{problem}Set the folder with --data-root or $FRCNN_DATA{download}"


def _near_folders(path: Path) -> list[str]:
    """The folders beside a missing path whose names are close to its name."""
    try:
        folders = {folder.name.lower(): str(folder) for folder in folders_in(path.parent)}
    except (OSError, ValueError):  # the path may be of any text
        return []
    return [folders[near] for near in get_close_matches(path.name.lower(), folders, cutoff=0.75)]


@dataclass(frozen=True)
class FoundDataset:
    """A dataset in a data root. name: its name on the command line.

    splits: maps each split to whether it is annotated. problem: why the splits cannot be read, or
    None.
    """

    name: str
    kind: str
    root: Path
    splits: dict[str, bool]
    problem: str | None = None


def list_datasets(data_root: Path | None = None) -> tuple[FoundDataset, ...]:
    """List all datasets in the folders that find_dataset searches, known names first.

    A name that occurs in several folders is listed once, with the folder that is used.
    """
    found: dict[Path, FoundDataset] = {}
    names = [*KNOWN_NAMES]
    for root in data_roots(data_root):
        if root.is_dir():
            entries = filter(is_visible, sorted(root.iterdir()))
            names += [entry.name for entry in entries if layouts_in(entry)]
    for name in dict.fromkeys(names):
        try:
            layout = locate(name, data_root)[0].layout
        except MisuseError:
            continue
        found.setdefault(layout.root.resolve(), _describe(name, layout))
    return tuple(found.values())


def _describe(name: str, layout: Layout) -> FoundDataset:
    try:
        return FoundDataset(name, layout.kind, layout.root, dict(layout.splits()))
    except (InputError, MisuseError) as error:
        return FoundDataset(name, layout.kind, layout.root, {}, str(error))
