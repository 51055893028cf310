"""Datasets with labels of images and no boxes: a CSV file, or a folder per class."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from frcnn_cli.engine.datasets.layout import (
    ALL,
    Fault,
    Report,
    folder_of_split,
    leads_inside,
    split_folders,
)
from frcnn_cli.engine.datasets.listing import Listed, folders_in, ids_across_splits, is_image
from frcnn_cli.engine.datasets.text_files import CLASSES_FILE, read_classes
from frcnn_cli.engine.records import Dataset, ImageLabels, ImageRecord
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.image_ids import ids_of_paths
from frcnn_proposals.reading import read_text

_COLUMNS = ("image", "label")
_FEWEST_FOLDERS = 2


@dataclass(frozen=True)
class LabelTable:
    """A CSV file with the columns image and label: one row per label of an image.

    image: the path of the file, relative to the folder of the table. A row without a label makes
    its image a negative of all classes. The classes are those in classes.txt beside the table;
    without that file, all labels, sorted. All images are the split 'all'.
    """

    root: Path
    kind: str = "CSV of image labels"

    @staticmethod
    def is_at(root: Path) -> bool:
        """Whether the path is a CSV file."""
        return root.is_file() and root.suffix.lower() == ".csv"

    def splits(self) -> dict[str, bool]:
        return {ALL: False}

    def images(self, split: str) -> list[Listed]:
        names = list(self._labels)
        files = [self.root.parent / name for name in names]
        return list(zip(ids_of_paths(names), files, strict=True))

    def omitted(self) -> dict[str, Fault]:
        return {}

    def read(self, split: str, name: str, report: Report) -> Dataset:
        """Read all images, in the order of their first rows."""
        label_of = {class_name: label for label, class_name in enumerate(self._classes, start=1)}
        records = []
        for (image_id, path), texts in zip(self.images(split), self._labels.values(), strict=True):
            if not path.is_file():
                message = f"the labels of {image_id} are for an unknown image, {path}"
                report(Fault(self.root, message, missing_image=True))
            for text in texts - label_of.keys():
                report(Fault(self.root, f"{image_id}: {text!r} is not in {CLASSES_FILE}"))
            present = sorted(label_of[text] for text in texts & label_of.keys())
            records.append(ImageRecord(image_id, path, labels=ImageLabels(tuple(present))))
        return Dataset(name, split, self._classes, tuple(records))

    @cached_property
    def _classes(self) -> tuple[str, ...]:
        file = self.root.parent / CLASSES_FILE
        if file.is_file():
            return read_classes(file)
        classes = tuple(sorted({text for texts in self._labels.values() for text in texts}))
        if not classes:
            raise InputError(f"{self.root}: no image has a label.")
        return classes

    @cached_property
    def _labels(self) -> dict[str, set[str]]:
        """Map the names of images to their labels, in the order of the file."""
        labels: dict[str, set[str]] = {}
        for number, (image, label) in self._rows():
            if not leads_inside(image):
                raise InputError(
                    f"{self.root}, line {number}: {image[:80]!r} is not the path of an image below "
                    f"{self.root.parent}."
                )
            labels.setdefault(image, set()).update([label] if label else [])
        if not labels:
            raise InputError(f"{self.root}: contains no images.")
        return labels

    def _rows(self) -> Iterator[tuple[int, tuple[str, str]]]:
        """Yield the image and the label of each row, and the number of its line."""
        try:
            reader = csv.DictReader(io.StringIO(read_text(self.root), newline=""))
            names = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
            if not set(_COLUMNS) <= names.keys():
                found = ", ".join(map(repr, reader.fieldnames or ()))[:80] or "nothing"
                raise InputError(
                    f"{self.root}: the first line contains {found}; expected the columns image and "
                    "label."
                )
            for row in reader:
                image, label = ((row[names[column]] or "").strip() for column in _COLUMNS)
                yield reader.line_num, (image, label)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{self.root}: not a readable CSV file ({reason(error)})") from error


@dataclass(frozen=True)
class ClassFolders:
    """A folder of images per class, as classification datasets have.

    The name of a folder is the label of its images. Images outside these folders are negatives of
    all classes. Folders train, val and test, with a folder per class in each, are splits; without
    them, all images are the split 'all'.
    """

    root: Path
    kind: str = "folder per class"

    @staticmethod
    def is_at(root: Path) -> bool:
        """Whether at least two folders contain images, or those of a split do."""
        if not root.is_dir():
            return False
        return bool(split_folders(root, _has_class_folders)) or _has_class_folders(root)

    def splits(self) -> dict[str, bool]:
        return dict.fromkeys(self._folders, False)

    def images(self, split: str) -> list[Listed]:
        return self._listed[split]

    def omitted(self) -> dict[str, Fault]:
        return {}

    def read(self, split: str, name: str, report: Report) -> Dataset:
        """Read the images of a split in the order of their paths."""
        names = {each.name for folder in self._folders.values() for each in folders_in(folder)}
        classes = tuple(sorted(names))
        label_of = {name: label for label, name in enumerate(classes, start=1)}
        folder = self._folders[split]
        records = []
        for image_id, path in self._listed[split]:
            class_name = path.relative_to(folder).parts[0] if path.parent != folder else None
            present = () if class_name is None else (label_of[class_name],)
            records.append(ImageRecord(image_id, path, labels=ImageLabels(present)))
        return Dataset(name, split, classes, tuple(records))

    @cached_property
    def _folders(self) -> dict[str, Path]:
        """Map splits to their folders. Raises InputError if two folders are one split."""
        return folder_of_split(self.root, _has_class_folders) or {ALL: self.root}

    @cached_property
    def _listed(self) -> dict[str, list[Listed]]:
        """Ids and files of the images of each split."""
        splits = {}
        for split, folder in self._folders.items():
            files = [*_images_in(folder)]
            files += [path for each in folders_in(folder) for path in _images_in(each)]
            names = [path.relative_to(folder).as_posix() for path in files]
            splits[split] = list(zip(ids_of_paths(names), files, strict=True))
        return ids_across_splits(self.root, splits)


def _images_in(folder: Path) -> list[Path]:
    return sorted(filter(_is_image_file, folder.iterdir()))


def _is_image_file(path: Path) -> bool:
    return is_image(path) and path.is_file()


def _class_folders(folder: Path) -> list[Path]:
    """The folders in `folder` that contain images."""
    return [each for each in folders_in(folder) if any(map(_is_image_file, each.iterdir()))]


def _has_class_folders(folder: Path) -> bool:
    return len(_class_folders(folder)) >= _FEWEST_FOLDERS
