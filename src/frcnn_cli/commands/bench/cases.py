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
    """What is measured. name: for --cases. precision: of the arithmetic."""

    @property
    def name(self) -> str: ...

    @property
    def precision(self) -> Precision: ...


AnyCase = TypeVar("AnyCase", bound=Case)


def cases_option(cases: Sequence[Case]) -> Callable[[Any], Any]:
    """The option --cases of a command that measures `cases`."""
    known = ", ".join(case.name for case in cases)
    text = f"Only these. Default: {known}."
    return click.option("--cases", "names", metavar="NAME,NAME,...", help=text)


def choose_cases(output: Output, cases: Sequence[AnyCase], names: str | None) -> list[AnyCase]:
    """The cases that --cases names, in its order; where it is None, all that run natively.

    Prints which are skipped because this processor would emulate their precision. Raises
    MisuseError where --cases names one of them, or a case that does not exist.
    """
    known = {case.name: case for case in cases}
    requested = list(known) if names is None else [name.strip() for name in names.split(",")]
    if unknown := [name for name in requested if name not in known]:
        raise MisuseError(f"There is no case '{unknown[0]}'. Known: {', '.join(known)}.")
    import torch

    from frcnn_cli.engine.distributed import devices

    cpu = torch.device("cpu")
    emulated = [] if devices.has_fast_bfloat16(cpu) else ["bfloat16"]
    skipped = [name for name in requested if known[name].precision in emulated]
    if skipped and names is not None:
        raise MisuseError(
            f"{', '.join(skipped)}: {devices.missing_instructions(cpu)} and would emulate it.\n"
            "Leave these cases out, or run them on another machine."
        )
    if skipped:
        output.note(f"Skipped: {', '.join(skipped)}: {devices.missing_instructions(cpu)}.")
    return [known[name] for name in requested if name not in skipped]
