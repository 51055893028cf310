"""The cases of a benchmark, chosen by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from frcnn_cli.commands.shared.console import Output
from frcnn_proposals.errors import MisuseError

if TYPE_CHECKING:
    from frcnn_cli.engine.settings import Precision


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


class PreciseCase(Case, Protocol):
    """A case that computes in a precision of its own."""

    @property
    def precision(self) -> Precision: ...


AnyPreciseCase = TypeVar("AnyPreciseCase", bound=PreciseCase)


def native_cases(
    output: Output, cases: Sequence[AnyPreciseCase], names: str | None
) -> list[AnyPreciseCase]:
    """The cases as `chosen_cases` has them, without those that this processor would emulate.

    Prints which are skipped. Raises MisuseError where --cases names one of them.
    """
    chosen = chosen_cases(cases, names)
    import torch

    from frcnn_cli.engine.distributed.devices import (
        choose_precision,
        has_fast_bfloat16,
        missing_instructions,
    )

    cpu = torch.device("cpu")
    if names is not None:
        for case in chosen:
            choose_precision(case.precision, cpu, measured=False)
    fast = has_fast_bfloat16(cpu)
    skipped = [case.name for case in chosen if case.precision == "bfloat16" and not fast]
    if skipped:
        output.note(f"Skipped: {', '.join(skipped)}: {missing_instructions(cpu)}.")
    return [case for case in chosen if case.name not in skipped]
