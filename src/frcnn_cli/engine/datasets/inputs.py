"""Images and their ids, from the user's inputs (images, folders, globs, lists, datasets)."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from frcnn_cli.engine.datasets.find import available_splits
from frcnn_cli.engine.datasets.layouts import layouts_in
from frcnn_cli.engine.datasets.listing import images_beside, is_image, skipped_files
from frcnn_cli.engine.datasets.open import open_splits
from frcnn_cli.engine.datasets.readers.voc_lists import VocLists
from frcnn_cli.engine.datasets.text_files import read_lines, without_column
from frcnn_cli.engine.distributed.shard import Shard
from frcnn_cli.engine.records import ImageFile
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.archives.contents import images_in_archives
from frcnn_proposals.archives.tar import is_archive, read_member
from frcnn_proposals.errors import InputError, MisuseError, reason
from frcnn_proposals.files import is_writable
from frcnn_proposals.folders import files_below
from frcnn_proposals.image_ids import (
    ids_of_paths,
    longer_where_repeated,
    path_where_repeated,
    paths_below,
    repeated_ids,
    without_suffix,
)
from frcnn_proposals.images import SUFFIXES, image_size
from frcnn_proposals.reading import text_lines

_LISTS = (".txt", ".lst", ".list")


def find_images(
    inputs: Sequence[str],
    data_root: Path | None = None,
    split: str | None = None,
    allow_mismatch: bool = False,
    reporter: Reporter = SILENT,
    shard: Shard | None = None,
) -> list[ImageFile]:
    """The images of `inputs` with their ids, in order.

    An input is an image, also one in a tar archive (0.tar/a.png), a folder (searched with its
    sub-folders), a glob, a text file with one path per line, a tar archive or a pattern of them
    (shards/{000..999}.tar), or the name or path of a dataset: all of its splits, or only `split`.
    The id is the file name without suffix; for a folder, preceded by the sub-folders; for a
    dataset, the dataset's own id. Where these are equal for different images, the ids are longer:
    for images, globs and lists the path below their folder; with the suffix, if nothing else
    differs; with the name of the input before it, if inputs repeat ids. An image in several
    inputs is used once, with its first id. allow_mismatch: accept a faulty dataset (see
    open_dataset). shard: only this part, chosen by the shortest ids while the inputs are read, so
    that memory holds no more. Files in a folder that are not images are reported as a warning.
    Raises MisuseError if an input has no images (a shard may have none), InputError if two images
    have the same id.
    """
    groups: list[_Group] = []
    for are_archives, texts in itertools.groupby(inputs, _is_archive):
        if are_archives:
            groups.append(_in_archives(list(texts), reporter, shard))
            continue
        found = (
            _images_of(text, data_root, split, allow_mismatch, reporter, shard) for text in texts
        )
        for is_file, grouped in itertools.groupby(found, lambda group: group.is_file):
            several = list(grouped)
            groups += [_Group.of_files(several)] if is_file else several
    paths: dict[str, str] = {}
    for image_id, path in _with_ids(groups):
        _reject_unwritable(path, image_id)
        if paths.setdefault(image_id, path) != path:
            raise InputError(
                f"{paths[image_id]!r} and {path!r} have the same image id {image_id!r}; rename one"
            )
    return list(paths.items())


@dataclass(frozen=True)
class _Group:
    """The images of one input, or of several single files in a row.

    root: the folder that ids start at. images: the ids by path. has_paths: whether the ids can
    be replaced by paths below `root`. is_file: whether the input is a single image.
    """

    root: str
    images: Mapping[str, str]
    has_paths: bool = True
    is_file: bool = False

    @classmethod
    def of_files(cls, files: Sequence[_Group]) -> _Group:
        root = os.path.commonpath([os.path.abspath(file.root) for file in files])
        return cls(root, dict(pair for file in files for pair in file.images.items()), is_file=True)

    def unique(self) -> dict[str, str]:
        """The ids by path; those that repeat are replaced by paths below the root."""
        images = _each_once(self.images)
        return path_where_repeated(images, self.root) if self.has_paths else images


def _with_ids(groups: Sequence[_Group]) -> list[tuple[str, str]]:
    """The images of all inputs, each once. Ids that inputs repeat have the input before them."""
    roots = [os.path.abspath(group.root) for group in groups]
    names = [os.path.basename(root) for root in roots]
    if len(set(names)) < len(names):
        names = paths_below(os.path.commonpath(roots), roots)
    given: dict[str, tuple[str, str, str]] = {}
    for name, group in zip(names, groups, strict=True):
        for path, image_id in group.unique().items():
            given.setdefault(os.path.abspath(path), (image_id, name, path))
    ids = _each_once({key: image_id for key, (image_id, _, _) in given.items()})

    def longer(key: str) -> str:
        image_id, name, _ = given[key]
        return image_id if name == "." else f"{name}/{image_id}"

    unique = longer_where_repeated(ids, longer)
    return [(image_id, given[key][2]) for key, image_id in unique.items()]


def _each_once(images: Mapping[str, str]) -> dict[str, str]:
    """The ids by path, without further paths of an image that has the same id."""
    repeated = repeated_ids(images.values())
    kept: dict[tuple[str, str], str] = {}
    for path, image_id in images.items():
        # Links are resolved for equal ids only, because that takes time.
        file = os.path.realpath(path) if image_id in repeated else path
        kept.setdefault((image_id, file), path)
    return {path: image_id for (image_id, _), path in kept.items()}


def _reject_unwritable(path: str, image_id: str) -> None:
    """Raise InputError for a name that is not valid UTF-8: stores and JSON cannot contain it."""
    if not is_writable(image_id):
        raise InputError(f"{path}: the name is not valid UTF-8; rename the file")


def _is_archive(text: str) -> bool:
    return is_archive(text) and not os.path.isdir(text)


def _in_archives(patterns: Sequence[str], reporter: Reporter, shard: Shard | None) -> _Group:
    """The images of archives in a row; if several have an id, the first image is used."""
    images, repeated = images_in_archives(patterns, partial(_is_in, shard))
    if repeated is not None:
        reporter.warn(f"Skipped: {repeated}.")
    return _Group(patterns[0], images, has_paths=False)


def _images_of(
    text: str,
    data_root: Path | None,
    split: str | None,
    allow_mismatch: bool,
    reporter: Reporter,
    shard: Shard | None,
) -> _Group:
    path = Path(text)
    if path.is_dir():
        layouts = layouts_in(path)
        if not layouts:
            return _in_folder(text, reporter, shard)
        if len(layouts) == 1 and (beside := images_beside(path, layouts[0].root)) is not None:
            reporter.warn(f"{text}: {beside}.")
    if path.is_file() and path.suffix.lower() in _LISTS:
        return _Group(str(path.parent), _by_stem(_in_list(path), shard))
    is_file = path.is_file() and path.suffix.lower() != ".json"
    if is_file or (is_image(path) and read_member(path, 0) is not None):
        return _Group(str(path.parent), _by_stem([text], shard), is_file=True)
    if not path.exists() and any(mark in text for mark in "*?["):
        return _in_glob(text, shard)
    images = _in_dataset(text, data_root, split, allow_mismatch, reporter)
    ids = {file: image_id for image_id, file in images if _is_in(shard, image_id)}
    return _Group(text, ids, has_paths=False)


def _is_in(shard: Shard | None, image_id: str) -> bool:
    return shard is None or shard.holds(image_id)


def _by_stem(paths: Iterable[str], shard: Shard | None) -> dict[str, str]:
    """The images of the shard by path, with the names of the files without suffix as ids."""
    # Path(path).stem would intern every name of a list.
    stems = ((path, os.path.splitext(os.path.basename(path.rstrip("/")))[0]) for path in paths)
    return {path: stem for path, stem in stems if _is_in(shard, stem)}


def _in_folder(folder: str, reporter: Reporter, shard: Shard | None) -> _Group:
    files = files_below(folder)
    paths = list(filter(is_image, files))
    if not paths:
        raise MisuseError(f"{folder}: contains no images ({', '.join(sorted(SUFFIXES))})")
    if (skipped := skipped_files(folder, files)) is not None:
        reporter.warn(f"{folder}: {skipped}.")
    below = {path: os.path.relpath(path, folder).replace(os.sep, "/") for path in paths}
    if shard is not None:
        below = {path: name for path, name in below.items() if shard.holds(without_suffix(name))}
    return _Group(folder, dict(zip(below, ids_of_paths([*below.values()]), strict=True)))


def _in_list(path: Path) -> Iterator[str]:
    """Paths are relative to the folder of the list; empty lines and # comments are skipped."""
    count = 0
    try:
        for line in map(str.strip, text_lines(path)):
            if line and not line.startswith("#"):
                if "\0" in line:
                    raise InputError(f"{path}: {line[:100]!r} is not a valid file name")
                count += 1
                image = os.path.join(path.parent, line)
                if count == 1 and not (is_image(image) or is_archive(image) or _is_file(image)):
                    raise MisuseError(
                        f"{path}: {line[:100]!r} is not the path of an image; expected one path "
                        "per line, relative to the folder of this list"
                    )
                yield image
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of images ({reason(error)})") from error
    if not count:
        raise MisuseError(f"{path}: lists no images; expected one path per line")


def _is_file(path: str) -> bool:
    return os.path.isfile(path) or read_member(path, 0) is not None


def _in_glob(pattern: str, shard: Shard | None) -> _Group:
    found = [path for path in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(path)]
    if not found:
        raise MisuseError(f"{pattern}: matches no files")
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts)
    return _Group(str(Path(*fixed)), _by_stem(found, shard))


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
    lists = VocLists.around(path)
    if lists is not None:
        ids = lists.ids_in(path)
    else:
        ids = ids_of_paths([without_column(line) for line in read_lines(path)])
    if not ids:
        raise InputError(f"{path}: lists no images; expected one id per line")
    if repeated := repeated_ids(ids):
        first = next(image_id for image_id in ids if image_id in repeated)
        raise InputError(f"{path}: lists image {first!r} more than once")
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
