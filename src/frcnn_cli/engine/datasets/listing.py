"""The image files of datasets and folders, their ids, and the files that are skipped."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from frcnn_proposals.errors import InputError
from frcnn_proposals.images import SUFFIXES
from frcnn_proposals.wording import counted, first_of

# The id and the file of an image.
Listed = tuple[str, Path]
# An image in several splits counts for the first of them.
_SPLITS = ("train", "val", "test", "trainval", "all")
# Suffixes of files that are expected next to images.
_ANNOTATIONS = frozenset(
    (".xml", ".txt", ".json", ".yaml", ".yml", ".csv", ".npy", ".data", ".names", ".labels")
)
_OTHERS = frozenset(("", ".md", ".cache"))
_NAMED = 3


def is_visible(path: Path) -> bool:
    """Whether the name does not start with a dot, as names of files that systems write do."""
    return not path.name.startswith(".") or path.name == ".."


def is_image(path: str | Path) -> bool:
    """Whether the file name has the suffix of an image and is not hidden."""
    name = os.path.basename(path)
    return os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")


def folders_in(folder: Path) -> list[Path]:
    """The visible folders in a folder, sorted.

    The scan itself tells folders from files; only links need a request each, because a folder can
    hold a million images.
    """
    with os.scandir(folder) as entries:
        return sorted(folder / entry.name for entry in entries if _is_visible_folder(entry))


def holds_only_images(folder: Path) -> bool:
    """Whether all visible entries of a folder are image files, by their names."""
    with os.scandir(folder) as entries:
        return all(
            entry.name.startswith(".") or (is_image(entry.name) and not _is_visible_folder(entry))
            for entry in entries
        )


def _is_visible_folder(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith("."):
        return False
    # A link that leads to itself is no folder for pathlib, and an error for the entry.
    return Path(entry).is_dir() if entry.is_symlink() else entry.is_dir()


def index_files(folder: Path, suffixes: Iterable[str]) -> dict[str, list[Path]]:
    """Map names without suffix to the files of a folder that have one of the suffixes.

    Hidden files are skipped. Suffixes are lower-case; in file names, their case is ignored.
    """
    index: dict[str, list[Path]] = defaultdict(list)
    # Names instead of paths: a dataset can have a hundred thousand files.
    for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in suffixes and not name.startswith("."):
            index[stem].append(folder / name)
    return dict(index)


def skipped_files(folder: str | Path, files: Iterable[str | Path]) -> str | None:
    """A message that names those `files` of a folder that are neither images nor annotations."""
    skipped = [
        os.path.relpath(path, folder).replace(os.sep, "/")
        for path in files
        if os.path.splitext(path)[1].lower() not in SUFFIXES | _ANNOTATIONS | _OTHERS
    ]
    if not skipped:
        return None
    files, names = counted(len(skipped), "file"), first_of(skipped, _NAMED)
    return f"{files} skipped, without the suffix of a supported image: {names}"


def images_beside(folder: Path, dataset: Path) -> str | None:
    """A message that names the images of a folder that are beside the dataset in it."""
    if dataset == folder:
        return None
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if is_image(entry.name) and entry.is_file())
    if not names:
        return None
    images, first = counted(len(names), "image"), first_of(names, _NAMED)
    return (
        f"reads the dataset {dataset} and skips {images} beside it: {first}. To process these, "
        "give their names"
    )


def ids_across_splits(
    root: Path, splits: Mapping[str, Sequence[Listed]]
) -> dict[str, list[Listed]]:
    """The images of each split, with the split before ids that splits use for different files.

    So train/1.jpg and val/1.jpg become train/1 and val/1; other ids are not changed. An image
    in several splits has one id. Raises InputError if an id is still used for different files.
    """
    images = {split: list(listed) for split, listed in splits.items()}
    repeated = _ids_of_several_files(images)
    if not repeated:
        return images
    first: dict[str, str] = {}
    for split in sorted(images, key=_SPLITS.index):
        for image_id, path in images[split]:
            if image_id in repeated:
                first.setdefault(os.path.realpath(path), split)
    for listed in images.values():
        listed[:] = [
            (f"{first[os.path.realpath(path)]}/{name}" if name in repeated else name, path)
            for name, path in listed
        ]
    if repeated := _ids_of_several_files(images):
        raise InputError(f"{root}: several images have the id {min(repeated)}: rename one of them")
    return images


def _ids_of_several_files(splits: Mapping[str, Iterable[Listed]]) -> set[str]:
    paths: dict[str, set[Path]] = defaultdict(set)
    for listed in splits.values():
        for image_id, path in listed:
            paths[image_id].add(path)
    # Links are resolved for equal ids only, because that takes time.
    return {
        image_id
        for image_id, files in paths.items()
        if len(files) > 1 and len({os.path.realpath(path) for path in files}) > 1
    }
