"""The YOLO layout: images/, labels/ with a text file an image, and data.yaml or classes.txt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from frcnn_cli.engine.datasets.layout import ALL, Fault, Report, is_image, split_of
from frcnn_cli.engine.datasets.lists import CLASSES_FILE, read_classes, read_lines
from frcnn_cli.engine.datasets.readers.yolo_files import (
    YoloDescription,
    read_description,
    read_labels,
)
from frcnn_cli.engine.records import Dataset, GroundTruth, ImageRecord
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import image_size

_DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml")


@dataclass(frozen=True)
class YoloLayout:
    """A data.yaml, or the folder that has one or that has images/ and labels/.

    The labels of images/a/1.jpg are in labels/a/1.txt; an image without that file has no
    objects. A split none of whose images has a label file is without annotations.
    """

    root: Path
    kind: str = "YOLO"

    @staticmethod
    def is_at(root: Path) -> bool:
        """Whether the path is a yaml file, or a folder laid out so."""
        if root.is_file():
            return root.suffix.lower() in (".yaml", ".yml")
        if any((root / name).is_file() for name in _DESCRIPTIONS):
            return True
        return any((folder / "labels").is_dir() for folder in (root, *_split_folders(root)))

    def splits(self) -> dict[str, bool]:
        """As data.yaml or the folders name them; one without either is 'all'."""
        return {
            split: any(_label_file(path).is_file() for path in self._images(split))
            for split in self._places
        }

    def read(self, split: str, name: str, report: Report) -> Dataset:
        """Images in the order of their names, or of the list that data.yaml refers to."""
        classes = self._classes()
        annotated = self.splits()[split]
        images: dict[str, ImageRecord] = {}
        for path in self._images(split):
            if path.stem in images:
                report(Fault(path, "another picture of the split has this name"))
                continue
            try:
                width, height = image_size(path)
            except InputError as error:
                reason = str(error).removeprefix(f"{path}: ")
                report(Fault(path, reason, missing_picture=not path.exists()))
                continue
            truth = None
            if annotated:
                labels = _label_file(path)
                truth = GroundTruth()
                if labels.is_file():
                    truth = read_labels(labels, len(classes), (width, height), report)
            images[path.stem] = ImageRecord(path.stem, path, width, height, truth)
        if not images:
            raise InputError(f"{self.root}: split {split} has no pictures")
        return Dataset(name, split, classes, tuple(images.values()))

    @cached_property
    def _description(self) -> YoloDescription | None:
        if self.root.is_file():
            return read_description(self.root)
        for name in _DESCRIPTIONS:
            if (self.root / name).is_file():
                return read_description(self.root / name)
        return None

    @cached_property
    def _places(self) -> dict[str, list[Path]]:
        """Split -> folders of pictures, or text files that list them."""
        if self._description is not None:
            return dict(self._description.places)
        inner = {folder.name: folder / "images" for folder in _split_folders(self.root)}
        inner |= {folder.name: folder for folder in _split_folders(self.root / "images")}
        places = {split: [folder] for name, folder in inner.items() if (split := split_of(name))}
        return places or {ALL: [self.root / "images"]}

    def _classes(self) -> tuple[str, ...]:
        if self._description is not None:
            return self._description.classes
        for folder in (self.root, self.root / "labels"):
            if (folder / CLASSES_FILE).is_file():
                return read_classes(folder / CLASSES_FILE)
        raise InputError(f"{self.root}: name the classes in data.yaml or {CLASSES_FILE}")

    def _images(self, split: str) -> Iterator[Path]:
        for place in self._places[split]:
            if place.is_dir():
                yield from sorted(path for path in place.rglob("*") if is_image(path))
            elif place.is_file():
                yield from (_listed(place, line) for line in read_lines(place))
            else:
                raise InputError(f"{self.root}: split {split} is to be at {place}, not there")


def _listed(file: Path, line: str) -> Path:
    """The picture that a line of a split's list names."""
    if "\0" in line or not Path(line).name:
        raise InputError(f"{file}: {line[:100]!r} is no picture's name")
    return file.parent / line


def _split_folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [entry for entry in sorted(root.iterdir()) if entry.is_dir() and split_of(entry.name)]


def _label_file(picture: Path) -> Path:
    """The last folder called images becomes labels; otherwise beside the picture."""
    parts = list(picture.parts)
    for place in reversed(range(len(parts) - 1)):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(".txt")
