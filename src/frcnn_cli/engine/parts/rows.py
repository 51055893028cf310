"""Images and their results as rows, and as batches of columns, the form of data engines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.formats.parts.row import Row

Columns = Mapping[str, Sequence[Any] | NDArray[Any]]
_IMAGES = ("image", "bytes", "path")


class Item(NamedTuple):
    """An image and its id. image: pixels, the bytes of a file, or its path. boxes: its proposals;
    None computes them."""

    image_id: Any
    image: Any
    boxes: Any = None

    @property
    def name(self) -> str:
        """The id as text."""
        return str(self.image_id)


class RowFunction(Protocol):
    """A function from images to rows."""

    def rows(self, items: Iterable[Item]) -> Iterator[Row]:
        """The row of each of `items`, in order, computed as they are taken."""
        ...


class PicklableRowFunction(RowFunction, Protocol):
    """A function for workers, such as a detector."""

    def rows(self, items: Iterable[Item], threads: int | None = None) -> Iterator[Row]:
        """See RowFunction.

        threads: that prepare images; None is one per core that this process may use.
        """
        ...


def items_of(batch: Columns | Any) -> list[Item]:
    """The images in a batch of columns: `id`, one of `image`, `bytes` and `path`, and `boxes`.

    A data frame is a batch, too. Raises MisuseError for missing columns, columns that are not lists
    or arrays, and columns of different lengths.
    """
    if not hasattr(batch, "keys"):  # as mappings and data frames have
        raise MisuseError(
            f"A batch is a mapping from column names to values, not {type(batch).__name__}."
        )
    kind = next((name for name in _IMAGES if name in batch), None)
    if "id" not in batch or kind is None:
        raise MisuseError(
            f"A batch has the columns id and one of {', '.join(_IMAGES)}, not "
            f"{', '.join(map(str, batch)) or 'none'}."
        )
    ids, images = _column(batch, "id"), _column(batch, kind)
    boxes = _column(batch, "boxes") if "boxes" in batch else [None] * len(ids)
    if not len(ids) == len(images) == len(boxes):
        raise MisuseError(
            f"The columns of a batch have different lengths: {len(ids)}, {len(images)} and "
            f"{len(boxes)}."
        )
    return [
        Item(image_id, _image(image), _boxes(given))
        for image_id, image, given in zip(ids, images, boxes, strict=True)
    ]


def _column(batch: Columns | Any, name: str) -> list[Any]:
    """The values of a column. Raises MisuseError for a single value."""
    values = batch[name]
    try:
        return list(values)
    except TypeError as error:
        raise MisuseError(
            f"The column {name} of a batch must be a list or an array, not {type(values).__name__}."
        ) from error


def columns_of(rows: Iterable[Row], labels: bool = True) -> dict[str, list[Any]]:
    """The columns `id`, `boxes`, `scores`, `labels` and `error` of rows.

    Without `labels`, this column is missing.
    """
    columns: dict[str, list[Any]] = {name: [] for name in Row(None).values}
    for row in rows:
        for name, value in row.values.items():
            columns[name].append(value)
    if not labels:
        del columns["labels"]
    return columns


def _image(value: Any) -> Any:
    """The value of a cell, as bytes if it holds the bytes of a file in another type."""
    if isinstance(value, bytearray | memoryview | np.bytes_):
        return bytes(value)
    return value


def _boxes(value: Any) -> Any:
    """The value of a cell, in which a list of boxes may be an array of arrays."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, Proposals):
        return value
    return [*map(list, value)] if isinstance(value, np.ndarray) and value.dtype == object else value
