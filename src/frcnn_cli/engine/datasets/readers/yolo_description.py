"""The files that describe a YOLO dataset: data.yaml, and darknet's obj.data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from frcnn_cli.engine.datasets.layout import ALL, LONGEST_NAME, LONGEST_PATH, split_of
from frcnn_cli.engine.datasets.text_files import read_classes, read_lines
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.files import is_writable
from frcnn_proposals.reading import open_file

DESCRIPTION_FILES = ("data.yaml", "data.yml", "dataset.yaml", "obj.data")
DESCRIPTION_SUFFIXES = (".yaml", ".yml", ".data")
_MAX_BYTES = 1 << 18  # of data.yaml
_NO_VALUE = ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True)
class YoloDescription:
    """What a description file contains.

    classes: in order of number. sources: split -> image folders, or text files that list images.
    keypoints: the numbers of keypoints that follow the box in a line; None if not given.
    """

    classes: tuple[str, ...]
    sources: dict[str, list[Path]]
    keypoints: int | None = None


def read_description(path: Path) -> YoloDescription:
    """Read a data.yaml or obj.data. Raises InputError if it is invalid."""
    return _read_obj_data(path) if path.suffix.lower() == ".data" else _read_yaml(path)


def split_named(word: str) -> str | None:
    """Return the split of a folder or a key: also 'all', which exports of a whole dataset have."""
    return ALL if word == ALL else split_of(word)


def relocated(folder: Path, source: str, candidates: Sequence[Path]) -> Path:
    """Return where `source`, a path in a file of `folder`, exists: one of `candidates`, or inside.

    Exports often write it from outside: with ../, with the name of the folder, or with data/.
    """
    parts = Path(source).parts
    is_outside = len(parts) > 1 and parts[0] in ("..", "data", folder.resolve().name)
    inside = [folder / Path(*parts[1:])] if is_outside else []
    return first_existing([*candidates, *inside])


def first_existing(candidates: Sequence[Path]) -> Path:
    """Return the first path that exists; if none does, the first."""
    return next((path for path in candidates if path.exists()), candidates[0])


def _read_obj_data(path: Path) -> YoloDescription:
    """Read darknet's obj.data: a line `key = value` for train, valid and names.

    Paths are relative to the folder in which darknet runs, often the parent folder.
    """
    values: dict[str, str] = {}
    for line in read_lines(path):
        key, separator, value = (part.strip() for part in line.partition("="))
        if separator and not key.startswith("#") and values.setdefault(key, value) != value:
            raise InputError(f"{path}: it has {key} twice")
    if not values.get("names"):
        raise InputError(f"{path}: expected `names = FILE`, a file with one class name per line")
    texts = {
        split: [_from_darknet(path, value)] for split, value in _by_split(path, values).items()
    }
    names = _from_darknet(path, values["names"])
    if not names.is_file():
        raise InputError(f"{path}: its file of class names, {values['names']!r}, does not exist")
    return YoloDescription(read_classes(names), texts)


def _from_darknet(path: Path, value: str) -> Path:
    folder, source = path.parent, _path_text(path, value)
    return relocated(folder, source, [folder / source, folder / ".." / source])


def _read_yaml(path: Path) -> YoloDescription:
    """Read a data.yaml. Raises InputError if PyYAML is not installed."""
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
        for split, value in _by_split(path, content).items()
    }
    return YoloDescription(
        _class_names(path, content.get("names")), sources, _keypoints(path, content)
    )


def _loader() -> Any:
    """Create a safe loader whose plain values are texts, as they are written.

    YAML would read the class `yes` as True and `007` as 7. Keys that occur twice are an error, and
    so are merge keys (`<<`), which can expand without limit.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

        def flatten_mapping(self, node: Any) -> None:
            seen = set()
            for key, _ in node.value:
                if key.tag == "tag:yaml.org,2002:merge" or key.value == "<<":
                    raise yaml.YAMLError("merge keys (<<) are not supported")
                if isinstance(key.value, str):
                    if key.value in seen:
                        raise yaml.YAMLError(f"the key {key.value[:40]} occurs twice")
                    seen.add(key.value)

    return Loader


def _by_split(path: Path, content: dict[Any, Any]) -> dict[str, Any]:
    """Return the values of the keys that name splits (train, val or valid, test, all)."""
    found: dict[str, tuple[str, Any]] = {}
    for key, value in content.items():
        split = split_named(key) if isinstance(key, str) else None
        if split is None or not value or value in _NO_VALUE:
            continue
        if split in found:
            raise InputError(f"{path}: {found[split][0]} and {key} are both {split}")
        found[split] = (key, value)
    if not found:
        raise InputError(f"{path}: it has no train, val or test")
    return {split: value for split, (_, value) in found.items()}


def _class_names(path: Path, names: Any) -> tuple[str, ...]:
    """Return the classes from a list, or from a map of number to name."""
    if isinstance(names, dict) and set(names) == {str(number) for number in range(len(names))}:
        names = [names[str(number)] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise InputError(f"{path}: names must list the classes, or map 0, 1, ... to them")
    classes = tuple(_text(path, name) for name in names)
    for number, name in enumerate(classes):
        if not 0 < len(name) <= LONGEST_NAME:
            raise InputError(f"{path}: the name of class {number} is empty or too long")
    if len(set(classes)) < len(classes):
        raise InputError(f"{path}: names lists a class twice")
    return classes


def _keypoints(path: Path, content: dict[Any, Any]) -> int | None:
    """Return how many numbers `kpt_shape: [keypoints, 2 or 3]` adds to a line."""
    shape = content.get("kpt_shape")
    if not shape or shape in _NO_VALUE:
        return None
    try:
        count, values = (int(value) for value in _as_list(shape))
    except (TypeError, ValueError):
        count = values = 0
    if not (0 < count < 10_000 and values in (2, 3)):
        raise InputError(f"{path}: kpt_shape must be two numbers: of keypoints, and 2 or 3")
    return count * values


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

    Some exports write it with the former name of the folder: name/train/images.
    """
    folder, parts = path.parent, Path(source).parts
    renamed = [folder / Path(*parts[1:])] if len(parts) > 2 else []
    return relocated(folder, source, [base / source, folder / source, *renamed])


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
