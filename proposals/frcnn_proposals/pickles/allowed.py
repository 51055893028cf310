"""What a pickle's own names stand for when it is read safely: nothing that can act."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class RefusedError(Exception):
    """The pickle holds something that is not allowed; the message says what."""


@dataclass(frozen=True)
class Function:
    """A function of ours that takes the place of one that the pickle names."""

    call: Callable[..., Any]


@dataclass(frozen=True)
class Marker:
    """Stands for a name that is only passed on as an argument."""

    name: str


class InstanceData:
    """Stands for mmengine's InstanceData: the fields it was saved with, and no behaviour."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def set(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise RefusedError("holds an InstanceData without fields")
        self.fields = state


def shown(name: str) -> str:
    """A name out of the pickle as far as a message, which has few lines, can show it."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:100])


def bytes_of(value: Any) -> bytes:
    """Bytes, also where Python 2 had them as a string, or Python 3 wrote them for Python 2."""
    if isinstance(value, str):
        return value.encode("latin1")
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise RefusedError(f"holds a {type(value).__name__} where bytes belong")
