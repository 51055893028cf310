"""Change settings by name: from a TOML file, the command line or a stored model."""

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
from frcnn_proposals.suggestions import suggest

Settings = TypeVar("Settings")

# Compared letters of an unknown name; comparing a million letters would take minutes.
_COMPARED = 100


@dataclass(frozen=True)
class Override:
    """A value for the field at `path` (`section.name`), with its source for messages."""

    path: str
    value: Any
    where: str


def override(settings: Settings, given: Iterable[Override]) -> Settings:
    """Return the settings with these values; the last value for a field counts.

    Raises MisuseError with the field and the source of its value, for an unknown field (with the
    closest name), a value of another type, or an invalid value.
    """
    kinds = kinds_of(settings)
    last: dict[str, Override] = {}
    for change in given:
        path, where = change.path, change.where
        if path not in kinds:
            raise MisuseError(
                f"{where}: unknown setting '{path}'. Did you mean '{_closest(path, kinds)}'?"
            )
        last[path] = Override(path, converted(change.value, kinds[path], f"{where}: {path}"), where)
    try:
        return with_values(settings, {path: change.value for path, change in last.items()})
    except MisuseError as error:
        raise MisuseError(f"{_invalid_overrides(settings, last)}: {error}") from error


def read_toml(path: Path) -> list[Override]:
    """Read the values in a TOML file, whose tables are the sections.

    Raises InputError if the file cannot be read or is not TOML.
    """
    try:
        table = tomllib.loads(read_text(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: not a readable TOML file ({reason}).") from error
    return from_nested(table, str(path))


def from_nested(table: Any, where: str) -> list[Override]:
    """Read the values in a table of `fields.nested`. Raises MisuseError for anything else."""
    if not isinstance(table, Mapping):
        raise MisuseError(f"{where} is not a table of settings.")
    given = []
    for name, value in table.items():
        if isinstance(value, Mapping):
            given += [Override(f"{name}.{key}", inner, where) for key, inner in value.items()]
        else:
            given.append(Override(name, value, where))
    return given


def from_assignment(text: str, where: str) -> Override:
    """Parse `section.name=value`. The value is TOML; if it is not valid TOML, it is a string.

    Raises MisuseError without '='.
    """
    path, equals, value = text.partition("=")
    if not equals:
        raise MisuseError(f"{where} {text}: expected section.name=value.")
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except (tomllib.TOMLDecodeError, KeyError, RecursionError):
        parsed = value.strip()
    return Override(path.strip(), parsed, where)


def setting_named(name: str, settings: Any) -> str | None:
    """The path of the setting of this name, such as weight-decay, here or in another tool."""
    paths = list(values_of(settings))
    by_name = {path.rpartition(".")[2]: path for path in reversed(paths)}
    found = suggest(name, [*paths, *by_name], cutoff=1.0)
    return None if found is None else by_name.get(found, found)


def toml_text(settings: Any) -> str:
    """Return settings as the text of a TOML file for `read_toml`."""
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
    if isinstance(value, str):  # JSON's escapes are valid in TOML, except for one character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def _closest(path: str, known: Iterable[str]) -> str:
    path = path[:_COMPARED]
    if (ours := suggest(path.rpartition(".")[2], known, cutoff=1.0)) is not None:
        return ours

    def similarity(name: str) -> float:
        pairs = ((path, name), (path.rpartition(".")[2], name.rpartition(".")[2]))
        return max(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)

    return max(known, key=similarity)


def _invalid_overrides(settings: Any, given: Mapping[str, Override]) -> str:
    """Describe the overrides that are invalid alone, otherwise all that change a value."""
    invalid = []
    for path, change in given.items():
        try:
            with_values(settings, {path: change.value})
        except MisuseError:
            invalid.append(change)
    before = values_of(settings)
    shown = invalid or [change for path, change in given.items() if change.value != before[path]]
    return ", ".join(f"{change.where}: {change.path} = {_toml(change.value)}" for change in shown)
