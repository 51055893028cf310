"""The YOLO layout: images/, labels/ with a text file an image, and data.yaml or classes.txt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from frcnn_cli.engine.datasets.layout import (
    ALL,
    LONGEST_NAME,
    LONGEST_PATH,
    Fault,
    Report,
    is_image,
    split_of,
)
from frcnn_cli.engine.datasets.text_files import CLASSES_FILE, read_classes, read_labels, read_lines
from frcnn_cli.engine.records import Dataset, GroundTruth, ImageRecord
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.files import is_writable
from frcnn_proposals.images import image_size
from frcnn_proposals.reading import open_file

_DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml")
_MAX_BYTES = 1 << 18  # of a description


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
                message = str(error).removeprefix(f"{path}: ")
                report(Fault(path, message, missing_picture=not path.exists()))
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


@dataclass(frozen=True)
class YoloDescription:
    """classes in order of number; places: split -> folders of pictures or lists of them."""

    classes: tuple[str, ...]
    places: dict[str, list[Path]]


def read_description(path: Path) -> YoloDescription:
    """Raises InputError, naming the file, where it does not describe a data set or where there
    is no PyYAML to read it with."""
    try:
        # Only this layout needs it: not one of the toolkit's own dependencies.
        import yaml  # type: ignore[import-untyped]
    except ImportError as error:
        raise InputError(f"{path}: reading it needs PyYAML: pip install pyyaml") from error
    try:
        with open_file(path) as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise InputError(f"{path}: is larger than {_MAX_BYTES >> 10} KiB, as none need be")
        content = yaml.load(text, _loader())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a readable yaml file ({reason(error)})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected names, train and val")
    base = path.parent / _place(path, content.get("path") or ".")
    places = {
        split: [_resolve(path, base, _place(path, place)) for place in _as_list(value)]
        for key, value in content.items()
        if value and isinstance(key, str) and (split := split_of(key))
    }
    if not places:
        raise InputError(f"{path}: it names no train, val or test")
    return YoloDescription(_class_names(path, content.get("names")), places)


def _loader() -> Any:
    """yaml's safe loader without `<<`, by which a few lines make it merge without end."""
    import yaml

    class Loader(yaml.SafeLoader):
        def flatten_mapping(self, node: Any) -> None:
            if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
                raise yaml.YAMLError("it merges tables by <<, which no data set needs")

    return Loader


def _class_names(path: Path, names: Any) -> tuple[str, ...]:
    """From a list, or from a map of number to name."""
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise InputError(f"{path}: names should list the classes, or map 0, 1, ... to them")
    classes = tuple(_text(path, name) for name in names)
    if len(set(classes)) < len(classes):
        raise InputError(f"{path}: names holds a class twice")
    return classes


def _text(path: Path, value: Any) -> str:
    """A name as text. (A few lines of yaml can make lists of lists whose text is endless.)"""
    if isinstance(value, list | dict | set | tuple):
        raise InputError(f"{path}: a list where a name belongs")
    if isinstance(value, int) and value.bit_length() > 64:
        raise InputError(f"{path}: a number of more than 64 bits where a name belongs")
    text = str(value)
    if len(text.splitlines()) > 1:
        raise InputError(f"{path}: a text of several lines where a name belongs")
    if not is_writable(text):
        raise InputError(f"{path}: a name in it is no text that can be written")
    return text


def _place(path: Path, value: Any) -> str:
    """A path as text, of names that a system can have."""
    place = _text(path, value)
    lengths = [len(name.encode(errors="replace")) for name in Path(place).parts]
    if sum(lengths) > LONGEST_PATH or any(length > LONGEST_NAME for length in lengths):
        raise InputError(f"{path}: a path longer than any system's")
    return place


def _resolve(path: Path, base: Path, place: str) -> Path:
    """Where a split is: under `path:`, beside the yaml, or, as some exports write it, at
    ../train/images where train/images is meant."""
    candidates = [base / place, path.parent / place, path.parent / place.removeprefix("../")]
    return next((candidate for candidate in candidates if candidate.exists()), candidates[0])


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
