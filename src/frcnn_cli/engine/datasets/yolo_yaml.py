"""A YOLO data.yaml: where the splits are and what the classes are called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frcnn_cli.engine.datasets.layout import LONGEST_NAME, LONGEST_PATH, split_of
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.files import is_writable
from frcnn_proposals.reading import open_file

_MAX_BYTES = 1 << 18


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
    return YoloDescription(_classes(path, content.get("names")), places)


def _loader() -> Any:
    """yaml's safe loader without `<<`, by which a few lines make it merge without end."""
    import yaml

    class Loader(yaml.SafeLoader):
        def flatten_mapping(self, node: Any) -> None:
            if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
                raise yaml.YAMLError("it merges tables by <<, which no data set needs")

    return Loader


def _classes(path: Path, names: Any) -> tuple[str, ...]:
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
