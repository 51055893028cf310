"""Options by which a user says what a proposal file does not say itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from frcnn_proposals.formats.interpret import Hints
from frcnn_proposals.formats.known import format_names
from frcnn_proposals.formats.layout import ORDERS, Order

_FORMATS = "Format of FILE where it cannot be told: " + ", ".join(format_names()) + "."


def hints(function: Callable[..., None]) -> Callable[..., None]:
    """--from, --order and --base, together the parameter `hints`."""

    @click.option("--from", "format", metavar="FORMAT", help=_FORMATS)
    @click.option("--order", type=click.Choice(ORDERS), help="Order of the columns in FILE.")
    @click.option("--base", type=click.IntRange(0, 1), help="The first pixel's coordinate in FILE.")
    @wraps(function)
    def with_hints(
        *args: Any, format: str | None, order: Order | None, base: int | None, **given: Any
    ) -> None:
        function(*args, hints=Hints(format, order, base), **given)

    return with_hints


allow_mismatch = click.option(
    "--allow-mismatch",
    is_flag=True,
    help="Go on although images have no proposals, or proposals no image.",
)
