"""Taking tables of boxes out of what a pickle held."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.formats.containers.mat import numbers


def list_of_tables(value: Any, columns: tuple[int, ...] = (4,)) -> list[NDArray[Any]] | None:
    """A list of (N, columns) number tables, each an array or nested lists; None if it is not."""
    if isinstance(value, np.ndarray) and value.dtype != object and value.ndim != 3:
        return None
    if not isinstance(value, list | tuple | np.ndarray):
        return None
    found = [numbers(as_array(item), columns) for item in value]
    return None if any(item is None for item in found) else [f for f in found if f is not None]


def list_of_rows(value: Any, boxes: list[NDArray[Any]]) -> list[NDArray[Any]] | None:
    """A list with a number for each box; None if it is not."""
    if not isinstance(value, list | tuple | np.ndarray) or len(value) != len(boxes):
        return None
    rows = [as_array(item) for item in value]
    fits = all(
        row is not None and row.size == len(table) and (row.size == 0 or row.dtype.kind in "iuf")
        for row, table in zip(rows, boxes, strict=True)
    )
    return [row.ravel() for row in rows if row is not None] if fits else None


def list_of_ids(value: Any, count: int) -> list[str | int] | None:
    """`count` whole numbers or strings; None if it is something else."""
    if not isinstance(value, list | tuple | np.ndarray) or len(value) != count:
        return None
    ids = [item.item() if isinstance(item, np.generic) else item for item in value]
    ids = [item.decode("latin1") if isinstance(item, bytes) else item for item in ids]
    return ids if all(type(item) in (int, str) for item in ids) else None


def as_array(value: Any) -> NDArray[Any] | None:
    """A numeric array of an array or of nested lists; None if it is neither."""
    if not isinstance(value, np.ndarray | list | tuple):
        return None
    try:
        return np.asarray(value)
    except ValueError:  # ragged lists
        return None
