"""The YOLO layout: images/, labels/ with a text file per image, and data.yaml or classes.txt."""

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

_DESCRIPTION_FILES = ("data.yaml", "data.yml", "dataset.yaml")
_MAX_BYTES = 1 << 18  # of data.yaml


@dataclass(frozen=True)
class YoloLayout:
    """A data.yaml, a folder with a data.yaml, or a folder with images/ and labels/.

    The labels of images/a/1.jpg are in labels/a/1.txt; an image without that file has no
    objects. A split without any label file has no annotations.
    """

    root: Path
    kind: str = "YOLO"

    @staticmethod
    def is_at(root: Path) -> bool:
        """Whether the path is a yaml file, or a folder in the YOLO layout."""
        if root.is_file():
            return root.suffix.lower() in (".yaml", ".yml")
        if any((root / name).is_file() for name in _DESCRIPTION_FILES):
            return True
        return any((folder / "labels").is_dir() for folder in (root, *_split_folders(root)))

    def splits(self) -> dict[str, bool]:
        """Map the splits of data.yaml, or of the folders, to whether they have annotations.

        Without either, the only split is 'all'.
        """
        return {
            split: any(label_file(path).is_file() for _, path in self._images(split))
            for split in self._sources
        }

    def read(self, split: str, name: str, report: Report) -> Dataset:
        """Read the split: images in order of name, or of the list that data.yaml refers to."""
        classes = self._classes()
        annotated = self.splits()[split]
        images: dict[str, ImageRecord] = {}
        for image_id, path in self._images(split):
            if image_id in images:
                report(Fault(path, "another image of the split has the same name"))
                continue
            try:
                width, height = image_size(path)
            except InputError as error:
                message = str(error).removeprefix(f"{path}: ")
                report(Fault(path, message, missing_image=not path.exists()))
                continue
            truth = None
            if annotated:
                labels = label_file(path)
                truth = GroundTruth()
                if labels.is_file():
                    truth = read_labels(labels, len(classes), (width, height), report)
            images[image_id] = ImageRecord(image_id, path, width, height, truth)
        if not images:
            raise InputError(f"{self.root}: split {split} has no images")
        return Dataset(name, split, classes, tuple(images.values()))

    @cached_property
    def _description(self) -> YoloDescription | None:
        if self.root.is_file():
            return read_description(self.root)
        for name in _DESCRIPTION_FILES:
            if (self.root / name).is_file():
                return read_description(self.root / name)
        return None

    @cached_property
    def _sources(self) -> dict[str, list[Path]]:
        """Map splits to image folders, or to text files that list images."""
        if self._description is not None:
            return dict(self._description.sources)
        inner = {folder.name: folder / "images" for folder in _split_folders(self.root)}
        inner |= {folder.name: folder for folder in _split_folders(self.root / "images")}
        sources = {split: [folder] for name, folder in inner.items() if (split := _split_of(name))}
        return sources or {ALL: [self.root / "images"]}

    def _classes(self) -> tuple[str, ...]:
        if self._description is not None:
            return self._description.classes
        for folder in (self.root, self.root / "labels"):
            if (folder / CLASSES_FILE).is_file():
                return read_classes(folder / CLASSES_FILE)
        raise InputError(f"{self.root}: list the classes in data.yaml or {CLASSES_FILE}")

    def _images(self, split: str) -> Iterator[tuple[str, Path]]:
        """Yield ids and files. The id of an image in a subfolder contains the subfolder."""
        for source in self._sources[split]:
            if source.is_dir():
                for path in sorted(path for path in source.rglob("*") if is_image(path)):
                    yield path.relative_to(source).with_suffix("").as_posix(), path
            elif source.is_file():
                listed = (_listed_image(source, line) for line in read_lines(source))
                yield from ((path.stem, path) for path in listed)
            else:
                raise InputError(f"{self.root}: {source} of split {split} does not exist")


def _listed_image(file: Path, line: str) -> Path:
    """Return the image path in a line of a split's list."""
    if "\0" in line or not Path(line).name:
        raise InputError(f"{file}: {line[:100]!r} is not an image file name")
    return file.parent / line


def _split_of(word: str) -> str | None:
    """Return the split of a folder or a key: also 'all', which exports of a whole dataset have."""
    return ALL if word == ALL else split_of(word)


def _split_folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [entry for entry in sorted(root.iterdir()) if entry.is_dir() and _split_of(entry.name)]


def label_file(image_path: Path) -> Path:
    """Return the label file: in labels/ instead of the last images/, or next to the image."""
    parts = list(image_path.parts)
    for index in reversed(range(len(parts) - 1)):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


@dataclass(frozen=True)
class YoloDescription:
    """The content of data.yaml. classes: in order of number.

    sources: split -> image folders, or text files that list images.
    """

    classes: tuple[str, ...]
    sources: dict[str, list[Path]]


def read_description(path: Path) -> YoloDescription:
    """Read a data.yaml. Raises InputError if it is invalid or PyYAML is not installed."""
    try:
        # PyYAML is not a dependency of the toolkit: only this layout needs it.
        import yaml  # type: ignore[import-untyped]
    except ImportError as error:
        raise InputError(f"{path}: reading it needs PyYAML: pip install pyyaml") from error
    try:
        with open_file(path) as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise InputError(f"{path}: is larger than {_MAX_BYTES >> 10} KiB")
        content = yaml.load(text, _loader())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a readable yaml file ({reason(error)})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected names, train and val")
    base = path.parent / _path_text(path, content.get("path") or ".")
    sources = {
        split: [_resolve(path, base, _path_text(path, source)) for source in _as_list(value)]
        for key, value in content.items()
        if value and isinstance(key, str) and (split := _split_of(key))
    }
    if not sources:
        raise InputError(f"{path}: it has no train, val or test")
    return YoloDescription(_class_names(path, content.get("names")), sources)


def _loader() -> Any:
    """Create a safe loader without merge keys (`<<`), which can expand without limit."""
    import yaml

    class Loader(yaml.SafeLoader):
        def flatten_mapping(self, node: Any) -> None:
            if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
                raise yaml.YAMLError("merge keys (<<) are not supported")

    return Loader


def _class_names(path: Path, names: Any) -> tuple[str, ...]:
    """Return the classes from a list, or from a map of number to name."""
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise InputError(f"{path}: names must list the classes, or map 0, 1, ... to them")
    classes = tuple(_text(path, name) for name in names)
    if len(set(classes)) < len(classes):
        raise InputError(f"{path}: names lists a class twice")
    return classes


def _text(path: Path, value: Any) -> str:
    """Return a name as text. Lists are rejected: nested ones can expand to an endless text."""
    if isinstance(value, list | dict | set | tuple):
        raise InputError(f"{path}: expected a name, found a list or a map")
    if isinstance(value, int) and value.bit_length() > 64:
        raise InputError(f"{path}: expected a name, found a number of more than 64 bits")
    text = str(value)
    if len(text.splitlines()) > 1:
        raise InputError(f"{path}: expected a name, found a text of several lines")
    if not is_writable(text):
        raise InputError(f"{path}: a name contains characters that cannot be written")
    return text


def _path_text(path: Path, value: Any) -> str:
    """Return a path as text. Raises InputError if it is too long for any system."""
    text = _text(path, value)
    lengths = [len(name.encode(errors="replace")) for name in Path(text).parts]
    if sum(lengths) > LONGEST_PATH or any(length > LONGEST_NAME for length in lengths):
        raise InputError(f"{path}: it contains a path that is too long")
    return text


def _resolve(path: Path, base: Path, source: str) -> Path:
    """Return the path of a split: relative to `path:` or to the folder of the yaml.

    A leading ../ may be wrong: some exports write ../train/images for train/images.
    """
    candidates = [base / source, path.parent / source, path.parent / source.removeprefix("../")]
    return next((candidate for candidate in candidates if candidate.exists()), candidates[0])


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
