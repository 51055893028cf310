"""Options by which a user says what a proposal file does not say itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from frcnn_proposals.formats.known import format_names
from frcnn_proposals.formats.layout import ORDERS

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_FORMATS = "Format of FILE where it cannot be told: " + ", ".join(format_names()) + "."


def hints(function: Decorated) -> Decorated:
    """--from, --order, --base"""
    function = click.option(
        "--base", type=click.IntRange(0, 1), help="The first pixel's coordinate in FILE."
    )(function)
    function = click.option(
        "--order", type=click.Choice(ORDERS), help="Order of the columns in FILE."
    )(function)
    return click.option("--from", "format", metavar="FORMAT", help=_FORMATS)(function)


def allow_mismatch(function: Decorated) -> Decorated:
    """--allow-mismatch"""
    return click.option(
        "--allow-mismatch",
        is_flag=True,
        help="Go on although images have no proposals, or proposals no image.",
    )(function)
