"""Objects that replace the names in a pickle when it is read safely; none can run code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class RejectedError(Exception):
    """The pickle contains something that is not allowed; the message says what."""


@dataclass(frozen=True)
class Function:
    """A function of ours that replaces a function named in the pickle."""

    call: Callable[..., Any]


@dataclass(frozen=True)
class Marker:
    """Represents a name that is only passed as an argument."""

    name: str


class InstanceData:
    """Represents mmengine's InstanceData: the saved fields, without behaviour."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def set(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise RejectedError("contains an InstanceData without fields")
        self.fields = state


def shown(name: str) -> str:
    """A name in the pickle, cut and made printable for a message."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:100])


def bytes_of(value: Any) -> bytes:
    """`value` as bytes. Python 2, and Python 3 for Python 2, pickle bytes as strings."""
    if isinstance(value, str):
        return value.encode("latin1")
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise RejectedError(f"contains a {type(value).__name__} where bytes are expected")
