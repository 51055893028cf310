"""Images and their ids, from the user's inputs (images, folders, globs, lists, datasets)."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from frcnn_cli.engine.datasets.find import available_splits, find_dataset
from frcnn_cli.engine.datasets.layouts import layouts_in
from frcnn_cli.engine.datasets.open import open_splits
from frcnn_cli.engine.datasets.text_files import read_image_ids
from frcnn_cli.engine.proposals.run import ImageFile
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import InputError, MisuseError, reason
from frcnn_proposals.files import is_writable
from frcnn_proposals.images import SUFFIXES, image_size
from frcnn_proposals.reading import read_text

_LISTS = (".txt", ".lst", ".list")


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 1) of `count`.

    The part of an image depends only on its id, so that all machines agree on the parts.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parse "2/8". Raises MisuseError for anything else."""
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise MisuseError(f"--shard must be I/N, from 1/N to N/N, not {text!r}")
        return cls(int(match[1]), int(match[2]))

    def holds(self, image_id: str) -> bool:
        digest = hashlib.sha256(image_id.encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1


def find_images(
    inputs: Sequence[str],
    data_root: Path | None = None,
    split: str | None = None,
    allow_mismatch: bool = False,
    reporter: Reporter = SILENT,
) -> list[ImageFile]:
    """The images of `inputs` with their ids, in order.

    An input is an image, a folder (searched with its sub-folders), a glob, a text file with one
    path per line, or the name or path of a dataset: all of its splits, or only `split`.
    The id is the file name without suffix; for a folder, preceded by the sub-folders; for a
    dataset, the dataset's own id. An image in several inputs is used once. allow_mismatch:
    accept a faulty dataset (see open_dataset).
    Raises MisuseError if an input has no images, InputError if two images have the same id.
    """
    paths: dict[str, str] = {}
    for text in inputs:
        for image_id, path in _images_of(text, data_root, split, allow_mismatch, reporter):
            _reject_unwritable(path, image_id)
            first = paths.setdefault(image_id, path)
            if first != path and not _is_same(first, path):
                raise InputError(
                    f"{first!r} and {path!r} have the same image id {image_id!r}; give the folder "
                    "above them, or use two stores"
                )
    return list(paths.items())


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:  # a file is missing; reading it reports the error
        return False


def _reject_unwritable(path: str, image_id: str) -> None:
    """Raise InputError for a name that is not valid UTF-8: stores and JSON cannot contain it."""
    if not is_writable(image_id):
        raise InputError(f"{path}: the name is not valid UTF-8; rename the file")


def _images_of(
    text: str,
    data_root: Path | None,
    split: str | None,
    allow_mismatch: bool,
    reporter: Reporter,
) -> Iterator[tuple[str, str]]:
    path = Path(text)
    if path.is_dir() and not layouts_in(path):
        yield from _in_folder(path)
    elif path.is_file() and path.suffix.lower() in _LISTS:
        yield from _in_list(path)
    elif path.is_file() and path.suffix.lower() != ".json":
        yield path.stem, text
    elif not path.exists() and any(mark in text for mark in "*?["):
        yield from _in_glob(text)
    else:
        yield from _in_dataset(text, data_root, split, allow_mismatch, reporter)


def _in_folder(folder: Path) -> Iterator[tuple[str, str]]:
    count = 0
    for root, folders, names in os.walk(folder, onerror=_reject_folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in SUFFIXES and not name.startswith("."):
                count += 1
                relative = os.path.relpath(os.path.join(root, stem), folder)
                yield relative.replace(os.sep, "/"), os.path.join(root, name)
    if not count:
        raise MisuseError(f"{folder}: contains no images ({', '.join(sorted(SUFFIXES))})")


def _reject_folder(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _in_list(path: Path) -> Iterator[tuple[str, str]]:
    """Paths are relative to the folder of the list; empty lines and # comments are skipped."""
    count = 0
    try:
        for line in map(str.strip, read_text(path).split("\n")):
            if line and not line.startswith("#"):
                if "\0" in line:
                    raise InputError(f"{path}: {line[:100]!r} is not a valid file name")
                count += 1
                yield Path(line).stem, os.path.join(path.parent, line)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of images ({reason(error)})") from error
    if not count:
        raise MisuseError(f"{path}: lists no images; expected one path per line")


def _in_glob(pattern: str) -> Iterator[tuple[str, str]]:
    found = [path for path in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(path)]
    if not found:
        raise MisuseError(f"{pattern}: matches no files")
    for path in found:
        yield Path(path).stem, path


def _in_dataset(
    name: str,
    data_root: Path | None,
    split: str | None,
    allow_mismatch: bool,
    reporter: Reporter,
) -> Iterator[tuple[str, str]]:
    if Path(name).suffix.lower() in SUFFIXES:
        raise MisuseError(f"{name}: image file not found")
    try:
        splits = [split] if split is not None else list(available_splits(name, data_root))
    except MisuseError as error:
        if Path(name).exists():
            raise
        raise MisuseError(
            f"{name}: no file, folder or dataset of this name.\n" + str(error).split("\n", 1)[-1]
        ) from error
    for dataset in open_splits(
        name, splits, data_root, allow_mismatch=allow_mismatch, reporter=reporter
    ):
        for record in dataset.images:
            yield record.image_id, str(record.path)


def read_image_set(path: Path) -> list[str]:
    """The ids of an image set (VOC's ImageSets/Main), in order.

    Raises InputError if the file cannot be read, lists no ids, or lists an id twice.
    """
    ids = read_image_ids(path)
    if not ids:
        raise InputError(f"{path}: lists no images; expected one id per line")
    if len(set(ids)) < len(ids):
        repeated = next(image_id for image_id in ids if ids.count(image_id) > 1)
        raise InputError(f"{path}: lists image {repeated!r} more than once")
    return ids


def image_files(folder: Path) -> dict[str, Path]:
    """The image files in a folder and its sub-folders, by id."""
    if not folder.is_dir():
        raise MisuseError(f"{folder}: this folder of images does not exist")
    return {image_id: Path(path) for image_id, path in find_images([str(folder)])}


def sizes_of(files: Mapping[str, Path]) -> Callable[[str], tuple[int, int] | None]:
    """A function from id to (width, height) in pixels; None for an id without a file."""

    def size_of(image_id: str) -> tuple[int, int] | None:
        return image_size(files[image_id]) if image_id in files else None

    return size_of


def all_ids(name: str, data_root: Path | None) -> set[str]:
    """The image ids of all splits of a dataset."""
    return {
        record.image_id
        for split in available_splits(name, data_root)
        for record in find_dataset(name, split, data_root, report=lambda fault: None).images
    }
