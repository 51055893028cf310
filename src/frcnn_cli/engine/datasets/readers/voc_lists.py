"""The image lists of the VOC layout, and the image and annotation of each line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePath

from frcnn_cli.engine.datasets.layout import ALL, Fault, leads_inside, split_of
from frcnn_cli.engine.datasets.listing import index_files, is_visible
from frcnn_cli.engine.datasets.text_files import read_lines, without_column
from frcnn_proposals.errors import InputError
from frcnn_proposals.image_ids import longer_where_repeated, repeated_ids, without_suffix
from frcnn_proposals.images import SUFFIXES

_XML = frozenset((".xml",))
_MAIN = Path("ImageSets", "Main")
IMAGES, ANNOTATIONS = "JPEGImages", "Annotations"


@dataclass(frozen=True)
class VocImage:
    """An image of a list. path and annotation: the files, or where they are expected.

    missing: what is wrong with the image file, or None if there is one. others: further image
    files of the same name.
    """

    image_id: str
    path: Path
    annotation: Path
    missing: str | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class VocLists:
    """The lists in ImageSets/Main of a folder.

    A list is named after its split: train.txt, also Train.txt or Validation.txt; default.txt is
    the split 'all'. Without any of these, the lists per class are used: cat_train.txt and
    dog_train.txt are the split 'train'.
    """

    root: Path

    @staticmethod
    def around(path: Path) -> VocLists | None:
        """The lists that a file belongs to; None if it is not in ImageSets/Main of VOC's layout."""
        root = path.absolute().parents[2] if len(path.absolute().parents) > 2 else path
        is_list = path.absolute().parent == root / _MAIN
        has_files = any((root / folder).is_dir() for folder in (IMAGES, ANNOTATIONS))
        return VocLists(root) if is_list and has_files else None

    @cached_property
    def files(self) -> dict[str, list[Path]]:
        """Map splits to their lists. Raises InputError if there are none."""
        lists = self._every
        whole: dict[str, list[Path]] = {}
        for path in lists:
            split = _split_of(path.stem)
            if split is not None and (split not in whole or path.stem == split):
                whole[split] = [path]
        if whole:
            return whole
        if not self.of_classes:
            names = ", ".join(path.name for path in lists[:5]) or "no list"
            raise InputError(
                f"{self.root / _MAIN}: contains {names}{', ...' if lists[5:] else ''}.\n"
                "Expected lists of images that are named after their split: train.txt, val.txt, "
                "trainval.txt, test.txt or default.txt."
            )
        return {split: list(of_class.values()) for split, of_class in self.of_classes.items()}

    @cached_property
    def of_classes(self) -> dict[str, dict[str, Path]]:
        """Map splits to their lists per class, by the name of the class."""
        found: dict[str, dict[str, Path]] = {}
        for path in self._every:
            name, _, word = path.stem.rpartition("_")
            if name and (split := split_of(word)) is not None:
                found.setdefault(split, {})[name] = path
        return found

    def labels(self, split: str) -> dict[str, dict[Path, str]]:
        """Map classes to the files of images in their list of a split, with the second column.

        The column is 1 if the class is in the image, -1 if it is not, and 0 if only difficult
        objects have it. Lists without a second column are omitted. Raises InputError for a list
        that has it in some lines.
        """
        found = {}
        for name, path in self.of_classes.get(split, {}).items():
            lines = [line for line in read_lines(path) if _is_listed(line)]
            columns = [self._column(line) for line in lines]
            if not any(columns):
                continue
            if not all(columns):
                line = lines[columns.index("")]
                raise InputError(f"{path}: {line[:80]!r} has no second column of -1, 0 or 1")
            images = (self._image_of(line).path for line in lines)
            found[name] = dict(zip(images, columns, strict=True))
        return found

    @cached_property
    def images(self) -> dict[str, list[VocImage]]:
        """The images of each split that has any, in order; repeated ones count once.

        Raises InputError if no split has images.
        """
        found = {split: self._in_lists(paths) for split, paths in self.files.items()}
        found = {split: images for split, images in found.items() if images}
        if not found:
            split, paths = next(iter(self.files.items()))
            raise InputError(f"{paths[0]} of split {split} lists no images")
        names = {image.path: image.image_id for images in found.values() for image in images}
        if not repeated_ids(names.values()):
            return found
        ids = longer_where_repeated(names, lambda path: names[path] + path.suffix)
        return {
            split: [replace(image, image_id=ids[image.path]) for image in images]
            for split, images in found.items()
        }

    def empty(self) -> dict[str, Fault]:
        """The splits whose lists are empty."""
        return {
            split: Fault(paths[0], f"lists no images: the split {split} is omitted", tolerated=True)
            for split, paths in self.files.items()
            if split not in self.images
        }

    def per_class(self) -> list[Fault]:
        """The splits that are read from lists per class."""
        return [
            Fault(paths[0].parent, f"the split {split} is read from {names}", tolerated=True)
            for split, paths in self.files.items()
            if _split_of(paths[0].stem) is None
            for names in [", ".join(path.name for path in paths)]
        ]

    def ids_in(self, path: Path) -> list[str]:
        """The ids of the images in one list of the folder, in order."""
        try:
            images = (image for images in self.images.values() for image in images)
            ids = {image.path: image.image_id for image in images}
        except InputError:  # no list is named after a split
            ids = {}
        listed = map(self._image, read_lines(path))
        return [ids.get(image.path, image.image_id) for image in listed]

    def _in_lists(self, paths: Sequence[Path]) -> list[VocImage]:
        lines = (line for path in paths for line in read_lines(path))
        found: dict[Path, VocImage] = {}
        for line in filter(_is_listed, lines):
            image = self._image_of(line)
            found[image.path] = image
        return list(found.values())

    @cached_property
    def _every(self) -> list[Path]:
        return [
            path
            for path in sorted((self.root / _MAIN).iterdir())
            if path.suffix.lower() == ".txt" and is_visible(path)
        ]

    def _column(self, line: str) -> str:
        """The second column of a line; empty if it has none, or is the name of an image."""
        name = without_column(line)
        if name == line or self._is_known(line) or self._is_known(without_suffix(line)):
            return ""
        return line.rsplit(maxsplit=1)[1].lstrip("+")

    def _image_of(self, line: str) -> VocImage:
        if line not in self._by_line:  # splits share most lines
            self._by_line[line] = self._image(line)
        return self._by_line[line]

    @cached_property
    def _by_line(self) -> dict[str, VocImage]:
        return {}

    def _image(self, line: str) -> VocImage:
        """The image of a line: an id or a file name, and possibly a column of -1, 0 or 1."""
        texts = tuple(dict.fromkeys((line, without_column(line))))
        for text in texts:
            for name in dict.fromkeys((text, without_suffix(text))):
                if self._is_known(name):
                    return self._known(text, name)
        name = without_suffix(texts[-1])
        path = self.root / IMAGES / f"{name}.jpg"
        missing = f"lists {name}, which is missing in {IMAGES}"
        return VocImage(name, path, self.root / ANNOTATIONS / f"{name}.xml", missing)

    def _is_known(self, name: str) -> bool:
        """Whether an image or an annotation has the name (a.jpg.xml can annotate a.jpg)."""
        if not leads_inside(name):
            return False
        if self._files(IMAGES, name):
            return True
        return bool(self._files(ANNOTATIONS, name)) and not self._files(
            IMAGES, without_suffix(name)
        )

    def _known(self, text: str, name: str) -> VocImage:
        files = self._files(IMAGES, name)
        last = os.path.basename(text)
        exact = [path for path in files if path.name == last] if len(files) > 1 else []
        annotations = self._files(ANNOTATIONS, text) or self._files(ANNOTATIONS, name)
        annotation = (annotations or [self.root / ANNOTATIONS / f"{name}.xml"])[-1]
        if not files:
            expected = self.root / IMAGES / f"{name}.jpg"
            return VocImage(name, expected, annotation, self._why_missing(expected, name))
        path = [*files, *exact][-1]
        others = () if exact else tuple(other.name for other in files[:-1])
        return VocImage(name, path, annotation, None, others)

    def _why_missing(self, expected: Path, name: str) -> str:
        folder = expected.parent
        if folder not in self._stems:  # many images can be missing
            names = sorted(folder.iterdir(), reverse=True) if folder.is_dir() else ()
            self._stems[folder] = {path.stem: path.name for path in filter(is_visible, names)}
        other = self._stems[folder].get(PurePath(name).name)
        if other is None:
            return f"lists {name}, which is missing in {IMAGES}"
        return f"lists {name}: {other} in {IMAGES} has no suffix of a supported image"

    def _files(self, folder: str, name: str) -> list[Path]:
        """The image or annotation files of a name, which may contain subfolders."""
        parent, last = os.path.split(name)
        key = (folder, parent)
        if key not in self._indexes:
            suffixes = SUFFIXES if folder == IMAGES else _XML
            self._indexes[key] = index_files(self.root / folder / parent, suffixes)
        return self._indexes[key].get(last, [])

    @cached_property
    def _stems(self) -> dict[Path, dict[str, str]]:
        return {}

    @cached_property
    def _indexes(self) -> dict[tuple[str, str], dict[str, list[Path]]]:
        return {}


def _is_listed(line: str) -> bool:
    """Whether a line is not the name of a hidden file."""
    last = line[line.rfind("/") + 1 :]
    return not last.startswith(".") or last == ".."


def _split_of(stem: str) -> str | None:
    """The split that the name of a list means; None for the list of a class."""
    return ALL if stem.lower() in (ALL, "default") else split_of(stem)
