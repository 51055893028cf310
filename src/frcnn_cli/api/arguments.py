"""Types of arguments, checked before any work."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from inspect import signature, unwrap
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from frcnn_proposals.base import Source
from frcnn_proposals.errors import MisuseError, machine_errors, reason
from frcnn_proposals.sources.registry import check_source, make_source

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
_WORDS: dict[Any, str] = {
    bool: "True or False",
    int: "an integer",
    float: "a number",
    str: "a string",
    Path: "a path",
    Mapping: "a mapping",
    Sequence: "a list",
    Iterable: "a list",
    Callable: "a function",
    tuple[int, int]: "a pair of integers",
    type(None): "None",
}

_LONGEST = 200  # letters of a value in a message


def public(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Raise MisuseError for an argument of another type, and Error for errors of the machine.

    Only the types in `_WORDS`, Literal, unions of them, and the items of lists and mappings are
    checked; the function checks others.
    """
    arguments = signature(function)

    @wraps(function)
    def checked(*given: Parameters.args, **named: Parameters.kwargs) -> Result:
        try:
            bound = arguments.bind(*given, **named).arguments
        except TypeError:  # Python's own message names the function.
            return function(*given, **named)
        check_arguments(function, bound)
        with machine_errors():
            return function(*given, **named)

    return checked


def check_arguments(function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Raise MisuseError unless the values are of the types that the function annotates."""
    parameters = signature(function).parameters
    names = unwrap(function).__globals__
    for name, value in given.items():
        _check_argument(name, value, parameters[name].annotation, names)


def names_of(classes: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """The names of a list, or of a string such as `person,dog`."""
    if isinstance(classes, str):
        return tuple(name for part in classes.split(",") if (name := part.strip()))
    return None if classes is None else tuple(classes)


def path_of(given: str | Path | None) -> Path | None:
    """The path of a string or path."""
    return None if given is None else Path(given)


def parameters_of(given: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Parameters of a source as NAME=VALUE. Raises MisuseError for a value that is not JSON."""
    try:
        return tuple(f"{name}={json.dumps(value)}" for name, value in (given or {}).items())
    except (TypeError, ValueError) as error:
        raise MisuseError(f"parameters must be JSON values ({reason(error)}).") from error


def source_for(source: str | Source, parameters: Mapping[str, Any] | None) -> Source:
    """The source of this name, with `parameters`, or `source` itself.

    Raises the errors of make_source and check_source, and MisuseError for parameters of a Source.
    """
    if isinstance(source, str):
        return make_source(source, **(parameters or {}))
    if parameters:
        raise MisuseError(
            f"parameters are those of a source given by name; this one is a "
            f"{type(source).__name__}. Set them when you create it."
        )
    return check_source(source)


def _check_argument(name: str, value: Any, annotation: Any, names: dict[str, Any]) -> None:
    """Raise MisuseError unless the value is of the annotated type. names: of the annotation."""
    kind = eval(annotation, names) if isinstance(annotation, str) else annotation
    kinds = get_args(kind) if get_origin(kind) in (UnionType, Union) else (kind,)
    if isinstance(value, str) and not value and Path in kinds:
        raise MisuseError(f"{name} is empty; it must be a path or a name.")
    if isinstance(value, str) and "\0" in value:
        raise MisuseError(f"{name} must not contain a NUL character: {value!r:.{_LONGEST}}.")
    expected = [words for each in kinds if (words := _in_words(each)) is not None]
    if len(expected) < len(kinds):
        return
    if not any(_is_of(value, each) for each in kinds):
        shown = repr(value)
        if "\n" in shown or len(shown) > _LONGEST:
            shown = f"a value of type {type(value).__name__}"
        wanted = " or ".join(dict.fromkeys(expected))
        raise MisuseError(f"{name} must be {wanted}, not {shown}.")
    for each in kinds:
        # The items of an iterator, which has no length, can be read only once.
        if get_origin(each) in (Sequence, Iterable, Mapping) and _is_of(value, each):
            _check_items(name, value if hasattr(value, "__len__") else (), get_args(each))


def _check_items(name: str, value: Any, kinds: Sequence[Any]) -> None:
    """Raise MisuseError unless the items of a list, or keys and values, are of their `kinds`."""
    if len(kinds) == 1:
        for item in value:
            _check_argument(f"an item of {name}", item, kinds[0], {})
        return
    for key, item in value.items():
        _check_argument(f"a key of {name}", key, kinds[0], {})
        _check_argument(f"a value of {name}", item, kinds[1], {})


def _in_words(kind: Any) -> str | None:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    return _WORDS.get(kind) or _WORDS.get(get_origin(kind))


def _is_of(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if kind is bool:
        return isinstance(value, bool)
    if kind in (int, float):
        number = Integral if kind is int else Real
        return isinstance(value, number) and not isinstance(value, bool)
    origin = get_origin(kind) or kind
    if origin is tuple:  # a list or an array with as many values is accepted
        is_list = _is_of(value, Sequence) and len(value) == len(get_args(kind))
        return is_list and all(map(_is_of, value, get_args(kind)))
    if origin in (Sequence, Iterable) and isinstance(value, str | bytes):
        return False  # text is not a list
    if origin is Sequence:  # an array is not an instance of Sequence
        has_items = hasattr(value, "__len__") and hasattr(value, "__getitem__")
        return has_items and not isinstance(value, Mapping)
    return isinstance(value, os.PathLike if kind is Path else origin)
