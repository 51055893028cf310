"""Sources by name: the built-in ones, and those of other packages.

A package adds a source with the entry-point group `frcnn.proposals`. The name of the entry point is
the name of the source; its value is a class (or function) that creates the source from keyword
parameters.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from frcnn_proposals.base import Source
from frcnn_proposals.errors import Error, InputError, MisuseError
from frcnn_proposals.sources.call import plugin_code
from frcnn_proposals.sources.union import SEPARATOR, UnionSource
from frcnn_proposals.suggestions import suggest

ENTRY_POINT_GROUP = "frcnn.proposals"
DEFAULT_SOURCE = "selective-search"
# Imported when used: each needs libraries that the others do not need.
_BUILT_IN = {
    name: EntryPoint(name, f"frcnn_proposals.sources.{place}", ENTRY_POINT_GROUP)
    for name, place in (
        ("selective-search", "selective_search:SelectiveSearch"),
        ("opencv-selective-search", "opencv:OpenCVSelectiveSearch"),
        ("dense", "dense:DenseBoxes"),
        ("precomputed", "precomputed:Precomputed"),
        ("tracked", "tracked:Tracked"),
    )
}


@dataclass(frozen=True)
class SourceInfo:
    """An entry of `list_sources`. origin: "built in", or the package that provides it."""

    name: str
    origin: str
    parameters: tuple[str, ...]
    summary: str


def make_source(name: str, /, **parameters: Any) -> Source:
    """Create the source `name` with `parameters`.

    Names joined by a plus (selective-search+dense) combine several sources; `parameters` then has
    a dictionary of parameters for each name.

    Raises MisuseError if the name or a parameter is unknown, InputError if the source cannot be
    loaded or created, or is not one (see check_source).
    """
    if SEPARATOR in name:
        return _make_union(name.split(SEPARATOR), parameters)
    factory = _load(name)
    known = _parameters(name, factory)
    try:
        inspect.signature(factory).bind(**parameters)
    except TypeError as error:
        raise MisuseError(
            f"source {name!r}: {error}; its parameters: {', '.join(known) or 'none'}"
        ) from error
    with plugin_code(f"source {name!r} cannot be created", Error):
        source = factory(**parameters)
    return check_source(source, name)


def check_source(source: Any, name: str = "") -> Source:
    """Return `source` if it has what a source needs; `name` is for messages.

    Raises InputError if an attribute is missing, or if the parameters are not JSON values.
    """
    shown = f"source {name or type(source).__name__!r}"
    with plugin_code(f"{shown}: its parameters must be a dictionary of JSON values"):
        complete = isinstance(source, Source) and isinstance(source.name, str)
        if complete:
            json.dumps([source.version, dict(source.parameters)], sort_keys=True, allow_nan=False)
    if not complete:
        raise InputError(f"{shown} must have name, version, parameters and propose(image)")
    return source  # type: ignore[no-any-return]


def parse_parameters(texts: Iterable[str]) -> dict[str, Any]:
    """Parse NAME=VALUE texts; later ones override earlier ones.

    VALUE is JSON; if it is not valid JSON, it is a string. Raises MisuseError without a name.
    """
    parameters: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise MisuseError(f"--param must be NAME=VALUE, not {text!r}")
        try:
            parameters[name] = json.loads(value)
        except (ValueError, RecursionError):
            parameters[name] = value
    return parameters


def list_sources() -> tuple[SourceInfo, ...]:
    """All sources, built-in ones first. If one cannot be loaded, its summary says why."""
    return tuple(_describe(name, entry_point) for name, entry_point in _sources().items())


def _make_union(names: list[str], parameters: dict[str, Any]) -> Source:
    if len(set(names)) < len(names):
        raise MisuseError(f"source {SEPARATOR.join(names)!r}: a source is named twice")
    for name, value in parameters.items():
        if name not in names or not isinstance(value, dict):
            raise MisuseError(
                f"source {SEPARATOR.join(names)!r}: unknown parameter {name!r}. Pass the "
                f'parameters of each source as JSON, such as {names[-1]}={{"parameter": value}}'
            )
    return UnionSource([make_source(name, **parameters.get(name, {})) for name in names])


def _describe(name: str, entry_point: EntryPoint) -> SourceInfo:
    package = entry_point.dist.name if entry_point.dist else "a plugin"
    origin = "built in" if name in _BUILT_IN else package
    try:
        factory = _load(name)
        parameters = tuple(_parameters(name, factory))
    except InputError as error:
        return SourceInfo(name, origin, (), str(error).splitlines()[0])
    summary = (inspect.getdoc(factory) or "").split("\n\n")[0].replace("\n", " ")
    return SourceInfo(name, origin, parameters, summary)


def _load(name: str) -> Callable[..., Source]:
    sources = _sources()
    if name not in sources:
        near = suggest(name, sources)
        hint = f"; did you mean {near!r}?" if near else f"; available: {', '.join(sources)}"
        raise MisuseError(f"unknown proposal source {name!r}{hint}")
    with plugin_code(f"proposal source {name!r} cannot be loaded"):
        factory: Callable[..., Source] = sources[name].load()
    return factory


def _sources() -> dict[str, EntryPoint]:
    """The built-in sources, then those of other packages, sorted by name."""
    plugins = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    others = sorted(set(plugins) - set(_BUILT_IN))
    return _BUILT_IN | {name: plugins[name] for name in others}


def _parameters(name: str, factory: Callable[..., Source]) -> list[str]:
    """The parameters of a source, such as step=0.14."""
    with plugin_code(f"proposal source {name!r} is not a class or function"):
        return [
            key if parameter.default is parameter.empty else f"{key}={parameter.default!r}"
            for key, parameter in inspect.signature(factory).parameters.items()
        ]
