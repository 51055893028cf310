"""Settings as a flat table: every field of a tree of dataclasses under `section.name`.

A nested dataclass is a section with the name of its field, at any depth:
Experiment.train.sampling.foreground_iou is `sampling.foreground_iou`. Fields of the outermost
dataclass have no section.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from frcnn_proposals.errors import MisuseError

Settings = TypeVar("Settings")
NONE = "none"  # a missing value in TOML, which has no null
_WORDS = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}


def values_of(settings: Any) -> dict[str, Any]:
    """Map the path of each field to its value."""
    return {path: value for path, value, _ in _walk(settings, "")}


def kinds_of(settings: Any) -> dict[str, Any]:
    """Map the path of each field to its type."""
    return {path: kind for path, _, kind in _walk(settings, "")}


def with_values(settings: Settings, values: Mapping[str, Any], section: str = "") -> Settings:
    """Replace the values at these paths. Raises MisuseError for an invalid value."""
    changed = {}
    for field in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, field.name)
        if is_dataclass(value):
            changed[field.name] = with_values(value, values, field.name)
        elif (path := _path(section, field.name)) in values:
            changed[field.name] = values[path]
    return replace(settings, **changed)  # type: ignore[type-var]


def nested(settings: Any) -> dict[str, Any]:
    """Convert settings to JSON values: first the fields without section, then the sections."""
    table: dict[str, Any] = {}
    for path, value in values_of(settings).items():
        section, _, name = path.rpartition(".")
        target = table.setdefault(section, {}) if section else table
        target[name] = list(value) if isinstance(value, tuple) else value
    return table


def converted(value: Any, kind: Any, where: str) -> Any:
    """Convert `value` from TOML or JSON to a field of type `kind`.

    Raises MisuseError, beginning with `where`, for a value of another type.
    """
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        inner = parts[0]
        if isinstance(value, list | tuple) and (parts[-1] is ... or len(value) == len(parts)):
            return tuple(converted(item, inner, where) for item in value)
    elif get_origin(kind) is UnionType:  # a value or None
        if value is None or value == NONE:
            return None
        return converted(value, get_args(kind)[0], where)
    elif get_origin(kind) is Literal:
        if value in get_args(kind):
            return value
    elif kind is float:
        if isinstance(value, int | float) and not isinstance(value, bool) and not _is_wide(value):
            return float(value)
    elif type(value) is kind and not _is_wide(value) and not _has_null(value):
        return value
    raise MisuseError(f"{where} must be {_in_words(kind)}, not {_shown(value)}.")


def _is_wide(value: Any) -> bool:
    """Whether it is an integer of more than 64 bits, which no setting supports."""
    return isinstance(value, int) and value.bit_length() > 63


def _has_null(value: Any) -> bool:
    """Whether it is a string with a null character, which no path or name can contain."""
    return isinstance(value, str) and "\0" in value


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # Python does not print integers of more than 4,300 digits
        return "an integer of thousands of digits"


def _in_words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        inner = {int: "integers", float: "numbers", str: "strings"}[parts[0]]
        return f"a list of {inner}" if parts[-1] is ... else f"a list of {len(parts)} {inner}"
    return _WORDS[kind]


def _walk(settings: Any, section: str) -> Iterator[tuple[str, Any, Any]]:
    kinds = get_type_hints(type(settings))
    sections = []
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value):
            sections.append((field.name, value))
        else:
            yield _path(section, field.name), value, kinds[field.name]
    for name, value in sections:
        yield from _walk(value, name)


def _path(section: str, name: str) -> str:
    return f"{section}.{name}" if section else name
