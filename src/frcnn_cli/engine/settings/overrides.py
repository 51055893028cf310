"""Changing settings by name: from a TOML file, from the command line, from what a model stores."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from frcnn_cli.engine.settings.fields import (
    NONE,
    converted,
    kinds_of,
    nested,
    values_of,
    with_values,
)
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.reading import read_text

Settings = TypeVar("Settings")

# Letters of an unknown name: to compare more takes minutes where there are a million.
_COMPARED = 100


@dataclass(frozen=True)
class Override:
    """A value for the field at `path` (`section.name`), and where it was given, for messages."""

    path: str
    value: Any
    where: str


def override(settings: Settings, given: Iterable[Override]) -> Settings:
    """The settings with these values; of two for one field the later counts.

    Raises MisuseError, naming the field and where its value was given, for an unknown field
    (naming the nearest), a value of another type, or one that the settings refuse.
    """
    kinds = kinds_of(settings)
    last: dict[str, Override] = {}
    for each in given:
        if each.path not in kinds:
            raise MisuseError(f"{each.where}: there is no setting '{each.path}'. "
                              f"Did you mean '{_nearest(each.path, kinds)}'?")  # fmt: skip
        value = converted(each.value, kinds[each.path], f"{each.where}: {each.path}")
        last[each.path] = Override(each.path, value, each.where)
    try:
        return with_values(settings, {path: each.value for path, each in last.items()})
    except MisuseError as error:
        raise MisuseError(f"{_blamed(settings, last)}: {error}") from error


def read_toml(path: Path) -> list[Override]:
    """The values in a TOML file, whose tables are the sections.

    Raises InputError, naming the file, where it cannot be read or is no TOML.
    """
    try:
        table = tomllib.loads(read_text(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: no settings can be read from this file ({reason}).") from error
    return from_nested(table, str(path))


def from_nested(table: Any, where: str) -> list[Override]:
    """The values in a table as `fields.nested` makes it. Raises MisuseError for anything else."""
    if not isinstance(table, Mapping):
        raise MisuseError(f"{where} is no table of settings.")
    given = []
    for name, value in table.items():
        if isinstance(value, Mapping):
            given += [Override(f"{name}.{key}", inner, where) for key, inner in value.items()]
        else:
            given.append(Override(name, value, where))
    return given


def from_assignment(text: str, where: str) -> Override:
    """`section.name=value` with the value in TOML; what is no TOML is a text.

    Raises MisuseError where there is no '='.
    """
    path, equals, value = text.partition("=")
    if not equals:
        raise MisuseError(f"{where} {text}: write it as section.name=value.")
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except (tomllib.TOMLDecodeError, KeyError, RecursionError):
        parsed = value.strip()
    return Override(path.strip(), parsed, where)


def toml_text(settings: Any) -> str:
    """Settings as a TOML file that `read_toml` reads back."""
    table = nested(settings)
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    lines = [f"{key} = {_toml(value)}" for key, value in plain.items()]
    for section, values in table.items():
        if isinstance(values, dict):
            lines += ["", f"[{section}]", *(f"{key} = {_toml(v)}" for key, v in values.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if value is None:
        return _toml(NONE)
    if isinstance(value, str):  # JSON's escapes are TOML's, but for one character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def _nearest(path: str, known: Iterable[str]) -> str:
    path = path[:_COMPARED]

    def likeness(name: str) -> float:
        pairs = ((path, name), (path.rpartition(".")[2], name.rpartition(".")[2]))
        return max(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)

    return max(known, key=likeness)


def _blamed(settings: Any, given: Mapping[str, Override]) -> str:
    """The overrides that are invalid by themselves, or else all that change a value."""
    alone = []
    for path, each in given.items():
        try:
            with_values(settings, {path: each.value})
        except MisuseError:
            alone.append(each)
    before = values_of(settings)
    blamed = alone or [each for path, each in given.items() if each.value != before[path]]
    return ", ".join(f"{each.where}: {each.path} = {_toml(each.value)}" for each in blamed)
