"""How settings say that a value cannot be."""

from __future__ import annotations

import math
from typing import get_args

from frcnn_proposals.errors import MisuseError


def check(condition: bool, message: str) -> None:
    """Raise MisuseError with `message` as a sentence unless `condition` holds."""
    if not condition:
        raise MisuseError(message[0].upper() + message[1:] + ".")


def check_choice(value: str, choices: object, what: str) -> None:
    """Raise MisuseError unless `value` is among a Literal's `choices`."""
    known: tuple[str, ...] = get_args(choices)
    check(value in known, f"{what} is {value!r}; it is one of {', '.join(known)}")


# Of a picture's side, in pixels: a hundred times what a network is usually shown.
LARGEST_SIDE = 100_000


def check_scales(scales: tuple[int, ...], what: str) -> None:
    """Raise MisuseError unless `scales` are lengths that a network can see something at."""
    check(all(s >= 32 for s in scales), f"{what} are {scales}; each must be 32 pixels or more")
    check(all(s <= LARGEST_SIDE for s in scales), f"{what} are {LARGEST_SIDE} pixels at most")
    check(len(set(scales)) == len(scales), f"{what} name one length twice: {scales}")


def check_positive(value: float, what: str) -> None:
    """Raise MisuseError unless `value` is finite and over zero."""
    check(0 < value < math.inf, f"{what} is {value}; it must be positive")


def check_least(value: int, least: int, what: str) -> None:
    """Raise MisuseError unless `value` is at least `least`."""
    check(value >= least, f"{what} is {value}; it must be {least} or more")
