"""Options for details that a proposal file does not contain, such as its column order."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from frcnn_proposals.formats.interpret import Hints
from frcnn_proposals.formats.known import format_names
from frcnn_proposals.formats.layout import CORNERS, ORDERS, Corners, Order

_FORMATS = "Format of FILE, if it cannot be detected: " + ", ".join(format_names()) + "."


def hints(function: Callable[..., None]) -> Callable[..., None]:
    """Add --from, --order, --base and --corners, passed on together as the argument `hints`."""

    @click.option("--from", "format", metavar="FORMAT", help=_FORMATS)
    @click.option("--order", type=click.Choice(ORDERS), help="Column order in FILE.")
    @click.option(
        "--base", type=click.IntRange(0, 1), help="Coordinate of the first pixel in FILE."
    )
    @click.option(
        "--corners",
        type=click.Choice(CORNERS),
        help="Whether x2, y2 in FILE is the last pixel, or one past it (continuous).",
    )
    @wraps(function)
    def with_hints(
        *args: Any,
        format: str | None,
        order: Order | None,
        base: int | None,
        corners: Corners | None,
        **given: Any,
    ) -> None:
        function(*args, hints=Hints(format, order, base, corners), **given)

    return with_hints


allow_mismatch = click.option(
    "--allow-mismatch",
    is_flag=True,
    help="Accept images without proposals, and proposals without an image.",
)
