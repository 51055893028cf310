"""Checks of settings, which raise MisuseError."""

from __future__ import annotations

import math
from typing import get_args

from frcnn_proposals.errors import MisuseError


def check(condition: bool, message: str) -> None:
    """Raise MisuseError with `message` as a sentence unless `condition` holds.

    If it starts with the name of a setting, the name is not capitalised.
    """
    if not condition:
        is_name = "_" in message.partition(" ")[0]
        raise MisuseError((message[0] if is_name else message[0].upper()) + message[1:] + ".")


def check_choice(value: str, choices: object, name: str) -> None:
    """Raise MisuseError unless `value` is among a Literal's `choices`."""
    known: tuple[str, ...] = get_args(choices)
    check(value in known, f"{name} is {value!r}; it must be one of {', '.join(known)}")


# Limit for the sides of an image, in pixels: about 100 times the usual input of a network.
LARGEST_SIDE = 100_000


def check_scales(scales: tuple[int, ...], name: str) -> None:
    """Raise MisuseError unless `scales` are distinct lengths in the supported range."""
    check(all(s >= 32 for s in scales), f"{name} are {scales}; each must be at least 32 pixels")
    check(all(s <= LARGEST_SIDE for s in scales), f"{name} must be at most {LARGEST_SIDE} pixels")
    check(len(set(scales)) == len(scales), f"{name} contain a length twice: {scales}")


def check_positive(value: float, name: str) -> None:
    """Raise MisuseError unless `value` is finite and greater than zero."""
    check(0 < value < math.inf, f"{name} is {value}; it must be positive")


def check_least(value: int, least: int, name: str) -> None:
    """Raise MisuseError unless `value` is at least `least`."""
    check(value >= least, f"{name} is {value}; it must be at least {least}")


def check_share(value: float, name: str) -> None:
    """Raise MisuseError unless `value` is from 0 to 1."""
    check(0 <= value <= 1, f"{name} is {value}; it must be in 0..1")
