"""Proposals for the user's inputs, computed by one process or by those of torchrun."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from frcnn_cli.engine.datasets.image_sizes import note_sixteen_bit
from frcnn_cli.engine.datasets.inputs import find_images
from frcnn_cli.engine.distributed.connect import connected
from frcnn_cli.engine.distributed.shard import Shard
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.proposals.run import (
    ProposeProgress,
    ProposeResult,
    propose_images,
)
from frcnn_cli.engine.proposals.source_calls import clipped_message
from frcnn_cli.engine.proposals.workers import own_cores
from frcnn_cli.engine.records import ImageFile
from frcnn_cli.engine.reporter import SILENT, Advance, Needs, Reporter
from frcnn_proposals.base import Source
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.images import MAX_PIXELS
from frcnn_proposals.locking import OnWait
from frcnn_proposals.store.destination import Destination
from frcnn_proposals.store.parts import add_parts, part_path
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import open_store
from frcnn_proposals.store.schema import check_store_name, is_store
from frcnn_proposals.wording import counted, rate_of


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
    allow_mismatch: bool = False,
    replace: bool = False,
    team: Team = ALONE,
    reporter: Reporter = SILENT,
) -> ProposeResult:
    """Compute the proposals of `source` for the images of `inputs` (see find_images).

    out: the output store; None names it after the first input, in the current folder. shard:
    process only this part of the images; a new store is then created even if all of them fail,
    so that all parts can be merged. workers: worker processes per process of the team; None is one
    per core in all processes of this machine.
    allow_mismatch: accept a faulty dataset. replace: remove proposals of other images, or of
    another source, from an existing store; without it, they are a MisuseError. For the other
    arguments and errors see propose_images.
    """
    if out is not None:
        check_store_name(out)
    elif not inputs:
        raise MisuseError("No images are given, and no name of the store (out).")
    files = find_images(inputs, data_root, split, allow_mismatch, reporter, shard)
    out = out or default_store(inputs[0], shard)
    if not replace:
        _check_nothing_is_lost(out, files, source)
    if workers is None and team.world > 1:
        workers = own_cores(team)
    failures_alone = shard is not None and not out.exists()
    own = len(team.part(files))
    note_sixteen_bit((path for _, path in files), reporter)
    latest = ProposeProgress(len(files))
    needs = Needs(lambda: _size_of_all(latest, len(files)), out)
    with reporter.progress(f"Proposing ({source.name})", own, needs=needs) as advance:
        show = advance_with_rate(advance)

        def on_progress(progress: ProposeProgress) -> None:
            nonlocal latest
            latest = progress
            show(progress)

        on_wait, provenance = waits_for_store(reporter), Provenance.of(source)
        propose_part = partial(
            propose_images,
            source=source,
            workers=workers,
            on_progress=on_progress,
            on_wait=on_wait,
            max_pixels=max_pixels,
            failures_alone=failures_alone,
        )
        try:
            result = _propose_as_team(
                team, files, out, provenance, propose_part, on_wait, failures_alone
            )
        except KeyboardInterrupt:
            reporter.note("Finished images are saved: run the same command to resume.")
            raise
    if result.clipped and team.is_first:
        reporter.warn(clipped_message(source.name, result.clipped))
    return result


def _size_of_all(progress: ProposeProgress, images: int) -> int:
    """The bytes of the proposals of all images that are not stored yet, if all are alike."""
    return progress.size * (images - progress.reused) // max(1, progress.computed)


def _check_nothing_is_lost(out: Path, files: Sequence[ImageFile], source: Source) -> None:
    """Raise MisuseError if the run would remove proposals of other images or another source."""
    if not is_store(out):
        return  # missing, or in the way, which propose_images reports
    store = open_store(out)
    if store.provenance.fingerprint != Provenance.of(source).fingerprint:
        lost = (
            f"contains proposals of another source or other parameters ({store.provenance.source}) "
            f"for {counted(len(store), 'image')}"
        )
    else:
        others = set(store.ids()) - {image_id for image_id, _ in files}
        if not others:
            return
        images = counted(len(others), "image that is", "images that are")
        lost = f"contains proposals of {images} not among the given ones"
    raise MisuseError(
        f"{out}: {lost}, which would be removed.\n"
        "Add --replace to remove them, or choose another store with --out."
    )


def default_store(first: str, shard: Shard | None = None) -> Path:
    """The path of a store in the current folder, named after the first input and the shard."""
    name = Path(first).resolve().stem if Path(first).exists() else first
    name = "".join(letter if letter.isalnum() or letter in "._+-" else "_" for letter in name)
    suffix = "" if shard is None else f"-{shard.label}"
    return Path(f"{name.strip('._') or 'images'}{suffix}.proposals")


def advance_with_rate(advance: Advance) -> Callable[[ProposeProgress], None]:
    """A callback that advances a progress bar and shows the computed images per second."""
    started, done = time.perf_counter(), 0

    def on_progress(progress: ProposeProgress) -> None:
        nonlocal started, done
        status = ""
        if progress.computed:
            status = rate_of(progress.computed / (time.perf_counter() - started), "image")
        else:  # stored images are skipped quickly and would distort the rate
            started = time.perf_counter()
        advance(progress.done - done, status)
        done = progress.done

    return on_progress


def waits_for_store(reporter: Reporter) -> Callable[[], None]:
    """A callback that reports the wait for another process that writes the same store."""
    return lambda: reporter.note("Waiting for another process that computes these proposals.")


def _propose_as_team(
    team: Team,
    images: Sequence[ImageFile],
    out: Path,
    provenance: Provenance,
    propose_part: Callable[..., ProposeResult],
    on_wait: OnWait,
    failures_alone: bool,
) -> ProposeResult:
    """Divide the images that are not stored yet among the processes of the team.

    Each process has a part of the store next to `out`. The first process locks the store for all,
    adds the parts of an interrupted run at the start, and those of this run at the end. Raises
    InputError, in the first process, if it cannot access a part.
    """
    if team.world == 1:
        return propose_part(images, out=out)
    with connected(team), ExitStack() as held:
        store: Destination | None = None
        with team.first_alone():
            if team.is_first:
                store = held.enter_context(Destination(out, provenance, on_wait))
                store.hold()
                add_parts(store, out, provenance, on_wait)
        stored = team.of_first({} if store is None else store.digests(i for i, _ in images))
        own = team.part(images, lambda image: image[0] in stored)
        results = team.gather(propose_part(own, out=part_path(out, team.rank), stored=stored))
        with team.first_alone():  # so that the store is complete when any process returns
            if store is not None:
                for result in results:
                    _check_visible(result.path)
                add_parts(store, out, provenance, on_wait)
                store.finish([image_id for image_id, _ in images], failures_alone)
    return ProposeResult(
        out,
        sum(result.computed for result in results),
        sum(result.reused for result in results),
        tuple(sorted(failure for result in results for failure in result.failures)),
        sum(result.clipped for result in results),
    )


def _check_visible(part: Path) -> None:
    """Raise InputError if another process has written its part where this one cannot read it."""
    if not part.is_file():
        raise InputError(
            f"{part}: was written by another process, but not found by the first one.\n"
            "--out must be on a disk that all processes can access."
        )
