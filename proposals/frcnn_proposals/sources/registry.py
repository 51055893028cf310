"""Sources by name: the built-in ones, and those of other packages.

A package adds a source with the entry-point group `frcnn.proposals`. The name of the entry point is
the name of the source; its value is a class (or function) that creates the source from keyword
parameters.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from frcnn_proposals.base import Source
from frcnn_proposals.errors import InputError, MisuseError, reason
from frcnn_proposals.sources.union import SEPARATOR, UnionSource

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
    )
}


@dataclass(frozen=True)
class SourceInfo:
    """An entry of `list_sources`. origin: "built in", or the package that provides it."""

    name: str
    origin: str
    parameters: tuple[str, ...]
    summary: str


def make_source(name: str, **parameters: Any) -> Source:
    """Create the source `name` with `parameters`.

    Names joined by a plus (selective-search+dense) combine several sources; `parameters` then has
    a dictionary of parameters for each name.

    Raises MisuseError if the name or a parameter is unknown, InputError if the source cannot be
    loaded.
    """
    if SEPARATOR in name:
        return _make_union(name.split(SEPARATOR), parameters)
    factory = _load(name)
    try:
        inspect.signature(factory).bind(**parameters)
    except TypeError as error:
        raise MisuseError(
            f"source {name!r}: {error}; its parameters: {', '.join(_parameters(factory)) or 'none'}"
        ) from error
    source = factory(**parameters)
    if not isinstance(source, Source):
        raise InputError(f"source {name!r} must have name, version, parameters and propose(image)")
    return source


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
    except InputError as error:
        return SourceInfo(name, origin, (), str(error).splitlines()[0])
    summary = (inspect.getdoc(factory) or "").split("\n\n")[0].replace("\n", " ")
    return SourceInfo(name, origin, tuple(_parameters(factory)), summary)


def _load(name: str) -> Callable[..., Source]:
    sources = _sources()
    if name not in sources:
        raise MisuseError(f"unknown proposal source {name!r}; available: {', '.join(sources)}")
    try:
        return sources[name].load()  # type: ignore[no-any-return]
    except Exception as error:  # a plugin's import can fail in any way
        message = f"{type(error).__name__}: {reason(error)}"
        raise InputError(f"proposal source {name!r} cannot be loaded: {message}") from error


def _sources() -> dict[str, EntryPoint]:
    """The built-in sources, then those of other packages, sorted by name."""
    plugins = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    others = sorted(set(plugins) - set(_BUILT_IN))
    return _BUILT_IN | {name: plugins[name] for name in others}


def _parameters(factory: Callable[..., Source]) -> list[str]:
    return [
        name if parameter.default is parameter.empty else f"{name}={parameter.default!r}"
        for name, parameter in inspect.signature(factory).parameters.items()
    ]
