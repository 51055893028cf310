"""What does not change from epoch to epoch, kept in memory up to a limit."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast

Value = TypeVar("Value")


class Kept:
    """Values by key. Once the limit is reached nothing more is kept, and nothing replaced: an
    epoch takes every image once, so that any part of them is as good as another.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.left = limit_bytes
        self._values: dict[Hashable, Any] = {}

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value that was kept under `key`, else a new one."""
        if key in self._values:
            return cast("Value", self._values[key])
        value = make()
        size = _size(value)
        if size <= self.left:
            self.left -= size
            self._values[key] = value
        return value


def _size(value: Any) -> int:
    """Bytes of an array, or of the arrays in a dataclass."""
    if is_dataclass(value):
        return sum(_size(getattr(value, each.name)) for each in fields(value))
    return int(getattr(value, "nbytes", 0))
