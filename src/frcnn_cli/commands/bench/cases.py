"""Select the cases of a benchmark by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from frcnn_cli.commands.shared.console import Output
from frcnn_proposals.errors import MisuseError

if TYPE_CHECKING:
    from frcnn_cli.engine.settings import Precision


class Case(Protocol):
    """One case of a benchmark. name: for --cases. precision: of the arithmetic."""

    @property
    def name(self) -> str: ...

    @property
    def precision(self) -> Precision: ...


AnyCase = TypeVar("AnyCase", bound=Case)


def cases_option(cases: Sequence[Case]) -> Callable[[Any], Any]:
    """The option --cases of a command that measures `cases`."""
    known = ", ".join(case.name for case in cases)
    return click.option(
        "--cases",
        "names",
        metavar="NAME,NAME,...",
        show_default="all",
        help=f"Run only these cases: {known}.",
    )


bench_device = click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="Device: cpu, cuda, cuda:N or auto.",
)


def choose_cases(
    output: Output, cases: Sequence[AnyCase], names: str | None, device: str = "cpu"
) -> list[AnyCase]:
    """The cases in `names`, in that order; None selects every case that runs natively.

    Prints the cases skipped because the device would emulate their precision. Raises MisuseError if
    `names` contains such a case or an unknown one, or if the device does not exist.
    """
    known = {case.name: case for case in cases}
    requested = list(known) if names is None else [name.strip() for name in names.split(",")]
    if unknown := [name for name in requested if name not in known]:
        raise MisuseError(f"Unknown case '{unknown[0]}'. Known cases: {', '.join(known)}.")
    from frcnn_cli.engine.distributed import devices

    where = devices.find_device(device)
    emulated = [] if devices.has_fast_bfloat16(where) else ["bfloat16"]
    skipped = [name for name in requested if known[name].precision in emulated]
    if skipped and names is not None:
        raise MisuseError(
            f"{', '.join(skipped)}: {devices.missing_instructions(where)} and would emulate it.\n"
            "Run without these cases, or on another machine."
        )
    if skipped:
        output.note(f"Skipped {', '.join(skipped)}: {devices.missing_instructions(where)}.")
    return [known[name] for name in requested if name not in skipped]
