"""The YOLO layout: images, a text file of labels per image, and a file with the class names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from frcnn_cli.engine.datasets.layout import ALL, Fault, Report
from frcnn_cli.engine.datasets.listing import Listed, folders_in, index_files, is_image
from frcnn_cli.engine.datasets.readers.yolo_description import (
    DESCRIPTION_FILES,
    DESCRIPTION_SUFFIXES,
    YoloDescription,
    first_existing,
    read_description,
    split_named,
)
from frcnn_cli.engine.datasets.readers.yolo_images import YoloImages
from frcnn_cli.engine.datasets.text_files import CLASSES_FILE, read_classes, read_labels
from frcnn_cli.engine.records import Dataset, GroundTruth, ImageRecord
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import image_size

# The last two are names that annotation tools give it.
_CLASS_FILES = (CLASSES_FILE, "obj.names", "_darknet.labels")


@dataclass(frozen=True)
class YoloLayout:
    """A data.yaml or obj.data, a folder with one of them, or a folder with images and labels.

    The labels of images/a/1.jpg are in labels/a/1.txt or, without that folder, next to the image;
    an image without that file has no objects. A split without any label file has no annotations.
    """

    root: Path
    kind: str = "YOLO"

    @staticmethod
    def is_at(root: Path) -> bool:
        """Whether the path is a description file, or a folder in the YOLO layout."""
        if root.is_file():
            return root.suffix.lower() in DESCRIPTION_SUFFIXES
        if any((root / name).is_file() for name in DESCRIPTION_FILES):
            return True
        folders = (root, *_split_folders(root))
        if any((folder / "labels").is_dir() for folder in folders):
            return True
        inner = (*(folder / "images" for folder in folders), *_split_folders(root / "images"))
        return any(_has_labels_beside(folder, root) for folder in (*folders, *inner))

    def splits(self) -> dict[str, bool]:
        """Map the splits of data.yaml, or of the folders, to whether they have annotations.

        Without either, the only split is 'all'.
        """
        return {
            split: any(_labels_of(path).is_file() for _, path in listed)
            for split, listed in self._images.by_split.items()
        }

    def images(self, split: str) -> list[Listed]:
        return self._images.by_split[split]

    def omitted(self) -> dict[str, Fault]:
        return self._images.omitted()

    def read(self, split: str, name: str, report: Report) -> Dataset:
        """Read the split: images in order of name, or of the list that data.yaml refers to."""
        for fault in self._images.notes(split):
            report(fault)
        classes = self._classes()
        keypoints = None if self._description is None else self._description.keypoints
        annotated = self.splits()[split]
        images: dict[str, ImageRecord] = {}
        for image_id, path in self._images.by_split[split]:
            try:
                width, height = image_size(path)
            except InputError as error:
                message, is_there = str(error).removeprefix(f"{path}: "), path.exists()
                report(Fault(path, message, tolerated=is_there, missing_image=not is_there))
                continue
            truth = None
            if annotated:
                labels = _labels_of(path)
                truth = GroundTruth()
                if labels.is_file():
                    size = (width, height)
                    truth = read_labels(labels, len(classes), size, report, keypoints)
            images[image_id] = ImageRecord(image_id, path, width, height, truth)
        if not images:
            raise InputError(f"{self.root}: split {split} has no images")
        return Dataset(name, split, classes, tuple(images.values()))

    @cached_property
    def _description(self) -> YoloDescription | None:
        if self.root.is_file():
            return read_description(self.root)
        for name in DESCRIPTION_FILES:
            if (self.root / name).is_file():
                return read_description(self.root / name)
        return None

    @cached_property
    def _sources(self) -> dict[str, list[Path]]:
        """Map splits to image folders, or to text files that list images."""
        if self._description is not None:
            return dict(self._description.sources)
        sources: dict[str, list[Path]] = {}
        folders = (*_split_folders(self.root), *_split_folders(self.root / "images"))
        for name in sorted({folder.name for folder in folders}):
            source = first_existing(
                [self.root / "images" / name, self.root / name / "images", self.root / name]
            )
            sources.setdefault(split_named(name) or ALL, []).append(source)
        return sources or {ALL: [first_existing([self.root / "images", self.root])]}

    @cached_property
    def _images(self) -> YoloImages:
        return YoloImages(self.root, self._sources)

    def _classes(self) -> tuple[str, ...]:
        """Read the classes; files in the folders of images and labels must agree."""
        if self._description is not None:
            return self._description.classes
        sources = [folder for folders in self._sources.values() for folder in folders]
        inner = [
            folder
            for source in sources
            for folder in (source, label_file(source / "any").parent, source.parent)
            if self.root in folder.parents
        ]
        files = _class_files([self.root, self.root / "labels", *inner])
        if not files:
            raise InputError(f"{self.root}: list the classes in data.yaml or {CLASSES_FILE}")
        classes = read_classes(files[0])
        for file in files[1:]:
            if files[0].parent != self.root and read_classes(file) != classes:
                raise InputError(f"{files[0]} and {file} list different classes")
        return classes


def _split_folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [folder for folder in folders_in(root) if split_named(folder.name)]


def _class_files(folders: list[Path]) -> list[Path]:
    """Return the first file of class names in each of the folders that has one."""
    found = [[folder / name for name in _CLASS_FILES] for folder in dict.fromkeys(folders)]
    existing = (next((path for path in paths if path.is_file()), None) for paths in found)
    return [path for path in existing if path is not None]


def _has_labels_beside(folder: Path, root: Path) -> bool:
    """Whether class names are known, and an image has its labels next to it (labelImg, darknet).

    A folder that also has VOC annotations is read as a folder of these.
    """
    if not folder.is_dir() or not _class_files([root, folder]) or index_files(folder, (".xml",)):
        return False
    return any(is_image(path) and path.with_suffix(".txt").is_file() for path in folder.iterdir())


def _labels_of(image_path: Path) -> Path:
    """Return the label file: that of `label_file`, or next to the image without its folder."""
    path = label_file(image_path)
    return path if path.parent.is_dir() else image_path.with_suffix(".txt")


def label_file(image_path: Path) -> Path:
    """Return the label file: in labels/ instead of the last images/, or next to the image."""
    parts = list(image_path.parts)
    for index in reversed(range(len(parts) - 1)):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return Path(*parts).with_suffix(".txt")
