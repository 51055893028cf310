"""Extract tables of boxes, rows of scores and ids from the content of a file."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Item = TypeVar("Item")


@dataclass
class BoxRows:
    """The boxes of one image, added one by one: four numbers each, and their scores if given."""

    numbers: array[float] = field(default_factory=lambda: array("d"))
    scores: array[float] = field(default_factory=lambda: array("d"))

    def add(self, box: Iterable[float], score: float | None) -> None:
        """Add four numbers, and a score if all boxes have one. Raises TypeError for other values.

        The caller checks how many numbers there are, and that each box has a score or none has.
        """
        self.numbers.extend(box)
        if score is not None:
            self.scores.append(score)

    def __len__(self) -> int:
        return len(self.numbers) // 4


def all_found(items: Iterable[Item | None]) -> list[Item] | None:
    """The items as a list; None if one of them is None."""
    found = list(items)
    present = [item for item in found if item is not None]
    return present if len(present) == len(found) else None


def numbers(value: Any, columns: tuple[int, ...] = (4,)) -> Array | None:
    """`value` if it is a table of numbers with one of these column counts; can be empty."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
        return None
    if value.size == 0:
        return np.zeros((0, columns[0]))
    return value if value.ndim == 2 and value.shape[1] in columns else None


def cells(value: Any) -> list[Any] | None:
    """The items of a cell array; None if it is something else."""
    if not isinstance(value, np.ndarray) or value.dtype != object or value.dtype.names:
        return None
    return list(value.ravel(order="F"))


def tables(value: Any, columns: tuple[int, ...] = (4,)) -> list[Array] | None:
    """The items of a cell array of number tables; None if it is empty or something else."""
    items = cells(value)
    return all_found(numbers(item, columns) for item in items) if items else None


def texts(value: Any) -> list[str] | None:
    """The items of a cell array of strings; None if it is something else."""
    items = cells(value)
    arrays = [np.asarray(item) for item in items or ()]
    if items is None or any(array.dtype.kind != "U" for array in arrays):
        return None
    return [str(array.ravel()[0]) for array in arrays]


def columns_of(value: Any, count: int) -> Array | None:
    """`value` as one row of `count` numbers (scores may be a row or a column), else None."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "iuf" and value.size == count:
        return value.ravel()
    return None


def list_of_tables(value: Any, columns: tuple[int, ...] = (4,)) -> list[Array] | None:
    """A list of (N, columns) number tables, as arrays or nested lists; None if it is not."""
    if isinstance(value, np.ndarray) and value.dtype != object and value.ndim != 3:
        return None
    if not isinstance(value, list | tuple | np.ndarray):
        return None
    return all_found(numbers(as_array(item), columns) for item in value)


def list_of_rows(value: Any, boxes: list[Array]) -> list[Array] | None:
    """A list of rows with one number per box; None if it is something else."""
    if not isinstance(value, list | tuple | np.ndarray) or len(value) != len(boxes):
        return None
    return all_found(_row(item, len(table)) for item, table in zip(value, boxes, strict=True))


def list_of_ids(value: Any, count: int) -> list[str | int] | None:
    """`count` whole numbers or strings; None if it is something else."""
    if not isinstance(value, list | tuple | np.ndarray) or len(value) != count:
        return None
    ids = [item.item() if isinstance(item, np.generic) else item for item in value]
    ids = [item.decode("latin1") if isinstance(item, bytes) else item for item in ids]
    return ids if all(type(item) in (int, str) for item in ids) else None


def as_array(value: Any) -> Array | None:
    """An array or nested lists as a numeric array; None if it is neither."""
    if not isinstance(value, np.ndarray | list | tuple):
        return None
    try:
        return np.asarray(value)
    except ValueError:  # ragged lists
        return None


def split_scores(found: Sequence[Array]) -> tuple[list[Array], list[Array] | None]:
    """Boxes of N x 4 or N x 5 tables, and scores if all tables with boxes have a fifth column."""
    scored = any(map(len, found)) and all(table.shape[1] == 5 for table in found if len(table))
    scores = [table[:, 4:].ravel() for table in found] if scored else None
    return [table[:, :4] for table in found], scores


def tables_of_rows(of_image: Mapping[Any, BoxRows]) -> tuple[list[Array], list[Array] | None]:
    """Tables by image, and scores if every box has one."""
    all_rows = of_image.values()
    boxes = [np.array(rows.numbers, np.float64).reshape(-1, 4) for rows in all_rows]
    scored = all(len(rows.scores) == len(rows) for rows in all_rows)
    if not scored or not any(map(len, all_rows)):
        return boxes, None
    return boxes, [np.array(rows.scores, np.float64) for rows in all_rows]


def _row(item: Any, count: int) -> Array | None:
    row = as_array(item)
    if row is None or row.size != count or (count and row.dtype.kind not in "iuf"):
        return None
    return row.ravel()
