"""Rows of the results for many images, for data engines and parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from frcnn_cli.engine.distributed.streams import Streams
from frcnn_cli.engine.parts.rows import Item
from frcnn_cli.engine.records import Detections
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import (
    InputError,
    InvalidValueError,
    lacks_operators,
    ran_out_of_memory,
)
from frcnn_proposals.formats.parts.row import Notice, Row
from frcnn_proposals.sources.call import failure_message

Prepared = TypeVar("Prepared")


def map_items(
    items: Iterable[Item],
    prepare: Callable[[Item], Prepared],
    compute: Callable[[Prepared], Detections | Proposals],
    notices: Callable[[Prepared], Mapping[Notice, int]] = lambda ready: {},
    threads: int | None = None,
    streams: Streams | None = None,
) -> Iterator[Row]:
    """The row of each of `items`, in order.

    `prepare` is called in `threads` threads (None: one per core) ahead of `compute`, which is
    called in `streams`, or by this thread. An image for which one of them fails has an error;
    the error of an incomplete installation is raised.
    """

    def prepared(item: Item) -> tuple[Item, Prepared | None, str | None]:
        try:
            return item, prepare(item), None
        except Exception as error:
            if lacks_operators(error):
                raise
            return item, None, failure_message(_shown(item), error)

    def row(task: tuple[Item, Prepared | None, str | None]) -> Row:
        item, ready, error = task
        if ready is None:
            return Row(item.image_id, error=error)
        found = compute(ready)
        labels = None if isinstance(found, Proposals) else found.labels
        counts = {notice: count for notice, count in notices(ready).items() if count}
        return Row(item.image_id, found.boxes, found.scores, labels, notices=counts)

    def failed(task: tuple[Item, Prepared | None, str | None], error: Exception) -> Row:
        is_fault = isinstance(error, InvalidValueError) or not isinstance(error, InputError)
        if is_fault and not ran_out_of_memory(error):
            raise error
        message = failure_message(_shown(task[0]), error, "computing detections")
        return Row(task[0].image_id, error=message)

    yield from (streams or Streams()).pipeline(prepared, row, items, threads, failed)


def _shown(item: Item) -> str:
    """The name of an image in messages: its path, or its id."""
    return str(item.image) if isinstance(item.image, str) else item.name
