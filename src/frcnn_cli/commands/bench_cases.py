"""The cases of a benchmark, chosen by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import click

from frcnn_proposals.errors import MisuseError


class Case(Protocol):
    """Something to measure; name as --cases takes it."""

    @property
    def name(self) -> str: ...


AnyCase = TypeVar("AnyCase", bound=Case)


def cases_option(cases: Sequence[Case]) -> Callable[[Any], Any]:
    """The option --cases of a command that measures `cases`."""
    return click.option(
        "--cases",
        "names",
        metavar="NAME,NAME,...",
        help=f"Only these. Default: {', '.join(case.name for case in cases)}.",
    )


def chosen_cases(cases: Sequence[AnyCase], names: str | None) -> list[AnyCase]:
    """The cases that --cases names, in its order; all where it is not given.

    Raises MisuseError for a name that none has.
    """
    known = {case.name: case for case in cases}
    wanted = list(known) if names is None else [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in known]:
        raise MisuseError(f"There is no case '{unknown[0]}'. Known: {', '.join(known)}.")
    return [known[name] for name in wanted]
