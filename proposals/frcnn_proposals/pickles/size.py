"""The size of an unpickled object if shared parts are counted each time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from frcnn_proposals.pickles.allowed import InstanceData, RejectedError


def reject_expanding(value: Any, limit: int) -> None:
    """Raises RejectedError if `value` has more than `limit` items.

    An item is an object or an element of an array, counted each time it is reached. A file of a few
    bytes can contain a list of two references to a list of two references, and so on, or a list
    that contains itself. A loop over all items of such an object would not end.
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
            raise RejectedError("contains the same objects nested in each other too many times")


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, np.ndarray):
        parts: list[Any] = value.ravel().tolist()
        return parts
    if isinstance(value, InstanceData):
        return value.fields.values()
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list | tuple | set | frozenset) else ()
