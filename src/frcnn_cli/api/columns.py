"""Proposals and detections of batches of columns, as data engines map them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from frcnn_cli.api.arguments import public, source_for
from frcnn_cli.api.images import reduced_image
from frcnn_cli.engine.parts.rows import Columns, Item, Notice, Row, columns_of, items_of
from frcnn_proposals.base import Proposals, Source
from frcnn_proposals.errors import InputError, lacks_operators, ran_out_of_memory
from frcnn_proposals.images import MAX_PIXELS
from frcnn_proposals.sources.call import failure_message, reject_per_stream
from frcnn_proposals.sources.registry import DEFAULT_SOURCE
from frcnn_proposals.store.provenance import Provenance

if TYPE_CHECKING:
    from frcnn_cli.engine import records
    from frcnn_cli.engine.proposals.source_calls import SourceCalls

Prepared = TypeVar("Prepared")


class Proposer:
    """A proposal source as a function of batches of columns.

    It pickles as its source and its settings. What the source loads, and worker processes of a
    source that needs them, are created at first use in each process.
    """

    @public
    def __init__(
        self,
        source: str | Source = DEFAULT_SOURCE,
        parameters: Mapping[str, Any] | None = None,
        *,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """source: a name that `frcnn propose --list-sources` shows, or a Source. parameters: of a
        named source, such as {"mode": "quality"}. Raises Error for an unknown name or parameter,
        and for a source that needs the frames of a video.
        """
        self.source, self.max_pixels = source_for(source, parameters), max_pixels
        reject_per_stream(self.source)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything except the images that the proposals depend on, as JSON values."""
        origin = Provenance.of(self.source)
        return {
            "source": origin.source,
            "version": origin.version,
            "parameters": dict(origin.parameters),
            "max_pixels": self.max_pixels,
        }

    def rows(self, items: Iterable[Item], threads: int | None = None) -> Iterator[Row]:
        """The proposals of each of `items`, in order, or the error of the image.

        threads: that compute them; None is one per core.
        """
        from frcnn_cli.engine.proposals.source_calls import clipped_notice

        propose = self._propose

        def prepare(item: Item) -> Proposals:
            pixels = reduced_image(item.image, self.max_pixels, name=item.name).pixels
            return propose(item.name, pixels)

        def notices(proposals: Proposals) -> Mapping[Notice, int]:
            return {clipped_notice(self.source.name): proposals.clipped}

        return map_items(items, prepare, lambda proposals: proposals, notices, threads)

    @public
    def __call__(self, batch: Columns | Any) -> dict[str, list[Any]]:
        """Proposals for a batch of columns, as for Detector, but without `boxes`.

        Returns `id`, `boxes` (N, 4), `scores` (N,) or None, and `error`.
        """
        return columns_of(self.rows(items_of(batch)), labels=False)

    @cached_property
    def _propose(self) -> SourceCalls:
        from frcnn_cli.engine.proposals.source_calls import SourceCalls

        return SourceCalls(self.source)

    def __getstate__(self) -> dict[str, Any]:
        return {"source": self.source, "max_pixels": self.max_pixels}


def map_items(
    items: Iterable[Item],
    prepare: Callable[[Item], Prepared],
    compute: Callable[[Prepared], records.Detections | Proposals],
    notices: Callable[[Prepared], Mapping[Notice, int]] = lambda ready: {},
    threads: int | None = None,
) -> Iterator[Row]:
    """The row of each of `items`, in order.

    `prepare` is called in `threads` threads (None: one per core) ahead of `compute`, which this
    thread calls. An image for which one of them fails has an error; errors of the installation are
    raised.
    """
    from frcnn_cli.engine.detection.prefetch import prefetch, returning_memory
    from frcnn_cli.engine.distributed.devices import usable_cores

    def prepared(item: Item) -> tuple[Item, Prepared | None, str | None]:
        try:
            return item, prepare(item), None
        except Exception as error:
            if lacks_operators(error):
                raise
            return item, None, failure_message(_shown(item), error)

    ahead = prefetch(prepared, items, threads or usable_cores())
    for item, ready, error in returning_memory(ahead):
        row = _row(item, ready, error, compute)
        if ready is None or row.error is not None:
            yield row
        else:
            counts = {notice: count for notice, count in notices(ready).items() if count}
            yield replace(row, notices=counts)


def _row(
    item: Item,
    ready: Prepared | None,
    error: str | None,
    compute: Callable[[Prepared], records.Detections | Proposals],
) -> Row:
    if ready is None:
        return Row(item.image_id, error=error)
    try:
        found = compute(ready)
    except Exception as failure:
        if not isinstance(failure, InputError) and not ran_out_of_memory(failure):
            raise
        return Row(item.image_id, error=failure_message(_shown(item), failure))
    labels = None if isinstance(found, Proposals) else found.labels
    return Row(item.image_id, found.boxes, found.scores, labels)


def _shown(item: Item) -> str:
    """What messages call an image: its path, or its id."""
    return str(item.image) if isinstance(item.image, str) else item.name
