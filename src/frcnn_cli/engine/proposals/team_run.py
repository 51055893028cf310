"""Proposals by several processes that torchrun has started: a store each, joined in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from frcnn_cli.engine.distributed.team import Team
from frcnn_cli.engine.proposals.run import (
    ImageFile,
    ProposeProgress,
    ProposeResult,
    propose_images,
)
from frcnn_proposals.base import Source
from frcnn_proposals.images import MAX_PIXELS
from frcnn_proposals.store.merge import merge_stores


def propose_together(
    team: Team,
    images: Sequence[ImageFile],
    source: Source,
    out: Path,
    workers: int | None,
    on_progress: Callable[[ProposeProgress], None],
    max_pixels: int = MAX_PIXELS,
) -> ProposeResult:
    """Proposals for all `images` in the store `out`, each image by one process of the team.

    The stores of the processes lie beside `out` until they are joined, so that an interrupted
    run goes on with them. `workers` are each process's. Raises InputError as propose_images.
    """

    def propose(images: Sequence[ImageFile], out: Path) -> ProposeResult:
        return propose_images(
            images, source, out, workers=workers, on_progress=on_progress, max_pixels=max_pixels
        )

    if team.world == 1:
        return propose(images, out)
    own = out.with_name(f"{out.name}{team.label}")
    result = propose(team.part(images), own)
    results = team.gather(result)
    if team.is_first:
        merge_stores([each.path for each in results], out)
    team.gather(None)  # nobody removes a store that is being joined
    own.unlink(missing_ok=True)
    return ProposeResult(
        out,
        sum(each.computed for each in results),
        sum(each.reused for each in results),
        tuple(sorted(failure for each in results for failure in each.failures)),
    )
