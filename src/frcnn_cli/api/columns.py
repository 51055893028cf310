"""Proposals and detections of batches of columns, as data engines map them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from frcnn_cli.api.arguments import public, source_for
from frcnn_cli.api.images import reduced_image
from frcnn_cli.engine.parts.rows import Columns, Item, columns_of, items_of
from frcnn_proposals.base import Proposals, Source
from frcnn_proposals.formats.parts.row import Notice, Row
from frcnn_proposals.images import MAX_PIXELS
from frcnn_proposals.sources.call import reject_per_stream
from frcnn_proposals.sources.registry import DEFAULT_SOURCE
from frcnn_proposals.store.provenance import Provenance

if TYPE_CHECKING:
    from frcnn_cli.engine.proposals.source_calls import SourceCalls


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
        from frcnn_cli.engine.detection.rows import map_items
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
