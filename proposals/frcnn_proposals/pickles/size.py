"""How much a pickle's object comes to when it is written out, shared parts each time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from frcnn_proposals.pickles.allowed import InstanceData, RefusedError


def refuse_expanding(value: Any, limit: int) -> None:
    """Raises RefusedError where `value` comes to more than `limit` items.

    An item is an object or an array's element, counted as often as it is reached. A file of a
    few bytes can hold a list of two references to a list of two references, and so on, or a list
    in itself: whoever walks over such a thing never comes to an end.
    """
    count = 0
    waiting = [value]
    while waiting:
        found = waiting.pop()
        count += 1
        if isinstance(found, np.ndarray) and found.dtype != object:
            count += found.size
        else:
            waiting.extend(_parts(found))
        if count + len(waiting) > limit:
            raise RefusedError("holds the same things in one another over and over")


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, np.ndarray):
        parts: list[Any] = value.ravel().tolist()
        return parts
    if isinstance(value, InstanceData):
        return value.fields.values()
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list | tuple | set | frozenset) else ()
