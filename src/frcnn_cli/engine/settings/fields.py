"""Settings as a flat table: every field of a tree of dataclasses under `section.name`.

A dataclass within another is a section, called as its field is, wherever it lies:
Experiment.train.sampling.foreground_iou is `sampling.foreground_iou`. Fields of the
outermost have no section.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from frcnn_proposals.errors import MisuseError

Settings = TypeVar("Settings")
NONE = "none"  # how TOML, which has no null, says that a value is not there
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def values_of(settings: Any) -> dict[str, Any]:
    """Every field's value by its path."""
    return {path: value for path, value, _ in _walk(settings, "")}


def kinds_of(settings: Any) -> dict[str, Any]:
    """Every field's type by its path."""
    return {path: kind for path, _, kind in _walk(settings, "")}


def with_values(settings: Settings, values: Mapping[str, Any], section: str = "") -> Settings:
    """The same settings with other values at these paths. Raises MisuseError as they do."""
    changed = {}
    for each in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, each.name)
        if is_dataclass(value):
            changed[each.name] = with_values(value, values, each.name)
        elif (path := _path(section, each.name)) in values:
            changed[each.name] = values[path]
    return replace(settings, **changed)  # type: ignore[type-var]


def nested(settings: Any) -> dict[str, Any]:
    """Settings as JSON values: sections by name, after the fields that have none."""
    table: dict[str, Any] = {}
    for path, value in values_of(settings).items():
        section, _, name = path.rpartition(".")
        target = table.setdefault(section, {}) if section else table
        target[name] = list(value) if isinstance(value, tuple) else value
    return table


def converted(value: Any, kind: Any, where: str) -> Any:
    """`value`, out of TOML or JSON, as a field of type `kind` has it.

    Raises MisuseError, beginning with `where`, for another type.
    """
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        inner = parts[0]
        if isinstance(value, list | tuple) and (parts[-1] is ... or len(value) == len(parts)):
            return tuple(converted(each, inner, where) for each in value)
    elif get_origin(kind) is UnionType:  # a value, or none
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
    """Whether it is a whole number of more than 64 bits, as no setting is."""
    return isinstance(value, int) and value.bit_length() > 63


def _has_null(value: Any) -> bool:
    """Whether it is a text that no path or name can be."""
    return isinstance(value, str) and "\0" in value


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a number of thousands of digits"


def _in_words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        inner = {int: "whole numbers", float: "numbers"}[parts[0]]
        return f"a list of {inner}" if parts[-1] is ... else f"a list of {len(parts)} {inner}"
    return _WORDS[kind]


def _walk(settings: Any, section: str) -> Iterator[tuple[str, Any, Any]]:
    kinds = get_type_hints(type(settings))
    inner = []
    for each in fields(settings):
        value = getattr(settings, each.name)
        if is_dataclass(value):
            inner.append((each.name, value))
        else:
            yield _path(section, each.name), value, kinds[each.name]
    for name, value in inner:
        yield from _walk(value, name)


def _path(section: str, name: str) -> str:
    return f"{section}.{name}" if section else name
