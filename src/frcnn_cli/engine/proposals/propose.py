"""Proposals for the user's inputs, by one process or by those that torchrun has started."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from frcnn_cli.engine.distributed.connect import connected
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.proposals.inputs import Shard, find_images
from frcnn_cli.engine.proposals.run import (
    ImageFile,
    ProposeProgress,
    ProposeResult,
    propose_images,
)
from frcnn_cli.engine.reporter import SILENT, Advance, Needs, Reporter
from frcnn_proposals.base import Source
from frcnn_proposals.images import MAX_PIXELS
from frcnn_proposals.store.merge import merge_stores

# Of some 2,000 boxes with scores, as the store keeps them.
_BYTES_PER_IMAGE = 40_000


def propose(
    inputs: Sequence[str],
    source: Source,
    out: Path | None = None,
    *,
    split: str | None = None,
    data_root: Path | None = None,
    shard: Shard | None = None,
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
    team: Team = ALONE,
    reporter: Reporter = SILENT,
) -> ProposeResult:
    """Proposals of `source` for the images that `inputs` name (see find_images), in a store.

    out: the store; None names it after the first input, in the current folder. shard: only this
    part of the images. workers: processes, per process of the team. Other arguments and
    errors are those of propose_images.
    """
    files = find_images(inputs, data_root, split)
    if shard is not None:
        files = [(image_id, path) for image_id, path in files if shard.holds(image_id)]
    out = out or default_store(inputs[0], shard)
    own = len(team.part(files))
    needs = Needs(_BYTES_PER_IMAGE * len(files), out)
    with reporter.progress(f"Proposing ({source.name})", own, needs=needs) as advance:
        propose_part = partial(
            propose_images,
            source=source,
            workers=workers,
            on_progress=advance_with_rate(advance),
            max_pixels=max_pixels,
        )
        try:
            return _propose_as_team(team, files, out, propose_part)
        except KeyboardInterrupt:
            reporter.note(f"Interrupted. {out} is kept: run the same command to resume.")
            raise


def default_store(first: str, shard: Shard | None = None) -> Path:
    """A store in the current folder, named after the first input and the shard."""
    name = Path(first).resolve().stem if Path(first).exists() else first
    name = "".join(letter if letter.isalnum() or letter in "._+-" else "_" for letter in name)
    suffix = "" if shard is None else f"-{shard.index}of{shard.count}"
    return Path(f"{name.strip('._') or 'images'}{suffix}.proposals")


def advance_with_rate(advance: Advance) -> Callable[[ProposeProgress], None]:
    """Advances a progress bar, and shows the computed images per second."""
    started, done = time.perf_counter(), 0

    def on_progress(progress: ProposeProgress) -> None:
        nonlocal started, done
        beside = ""
        if progress.computed:
            rate = progress.computed / (time.perf_counter() - started)
            beside = f"{rate:.1f} images/s"
        else:  # known images pass quickly and would spoil the rate
            started = time.perf_counter()
        advance(progress.done - done, beside)
        done = progress.done

    return on_progress


def _propose_as_team(
    team: Team,
    images: Sequence[ImageFile],
    out: Path,
    propose_part: Callable[..., ProposeResult],
) -> ProposeResult:
    """Compute each image in one process of the team; all go to one store.

    The stores of the processes lie beside `out` until they are merged, so that an interrupted
    run resumes them.
    """
    if team.world == 1:
        return propose_part(images, out=out)
    with connected(team):
        own = out.with_name(f"{out.name}{team.label}")
        results = team.gather(propose_part(team.part(images), out=own))
        if team.is_first:
            merge_stores([each.path for each in results], out)
        team.gather(None)  # no process removes a store that is being merged
        own.unlink(missing_ok=True)
    return ProposeResult(
        out,
        sum(result.computed for result in results),
        sum(result.reused for result in results),
        tuple(sorted(failure for result in results for failure in result.failures)),
    )
