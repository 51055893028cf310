"""Options for details that a proposal file does not contain, such as its column order."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from frcnn_proposals.formats.interpret import Hints
from frcnn_proposals.formats.known import format_names
from frcnn_proposals.formats.layout import ORDERS, Order

_FORMATS = "Format of FILE, if it cannot be detected: " + ", ".join(format_names()) + "."


def hints(function: Callable[..., None]) -> Callable[..., None]:
    """Add --from, --order and --base, passed on together as the argument `hints`."""

    @click.option("--from", "format", metavar="FORMAT", help=_FORMATS)
    @click.option("--order", type=click.Choice(ORDERS), help="Column order in FILE.")
    @click.option(
        "--base", type=click.IntRange(0, 1), help="Coordinate of the first pixel in FILE."
    )
    @wraps(function)
    def with_hints(
        *args: Any, format: str | None, order: Order | None, base: int | None, **given: Any
    ) -> None:
        function(*args, hints=Hints(format, order, base), **given)

    return with_hints


allow_mismatch = click.option(
    "--allow-mismatch",
    is_flag=True,
    help="Accept images without proposals, and proposals without an image.",
)
