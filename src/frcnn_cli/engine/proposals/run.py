"""Run a proposal source over many images, into a store that keeps what is already known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from frcnn_cli.engine.distributed.devices import usable_cores
from frcnn_cli.engine.proposals.workers import run_in_workers
from frcnn_proposals.base import Proposals, Source
from frcnn_proposals.checks import check_proposals
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.images import (
    MAX_PIXELS,
    decode_image,
    digest_of,
    image_digest,
    read_image_bytes,
)
from frcnn_proposals.sources.precomputed import Precomputed
from frcnn_proposals.store.destination import Destination
from frcnn_proposals.store.provenance import Provenance

ImageFile = tuple[str, str | Path]  # image id, path


@dataclass(frozen=True)
class ProposeProgress:
    """How far a run is, in images; reused ones were in the store already."""

    total: int
    computed: int = 0
    reused: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        return self.computed + self.reused + self.failed


@dataclass(frozen=True)
class ProposeResult:
    """What a run did. failures: (image id, reason), also kept in the store at `path`."""

    path: Path
    computed: int
    reused: int
    failures: tuple[tuple[str, str], ...]


def propose_images(
    images: Sequence[ImageFile],
    source: Source,
    out: Path,
    *,
    workers: int | None = None,
    keep_others: bool = False,
    on_progress: Callable[[ProposeProgress], None] = lambda progress: None,
    max_pixels: int = MAX_PIXELS,
) -> ProposeResult:
    """Proposals of `source` for all `images`, in the store `out`.

    Images whose bytes, source, parameters and version are those in the store already (or in
    the .partial file that an interrupted run left) are not computed again. An image that
    fails is recorded in the store with the reason and does not stop the rest.
    An image of more than `max_pixels` fails.
    workers: processes; None is one a core, 0 works in this process. keep_others: images in the
    store that are not among `images` stay there (a cache); otherwise they are removed.
    Raises InputError if two images have one id, the store cannot be written, or workers
    cannot start.
    """
    _refuse_repeated_ids(images)
    workers = usable_cores() if workers is None else workers
    progress = ProposeProgress(len(images))
    failures: list[tuple[str, str]] = []
    with Destination(out, Provenance.of(source)) as store:
        for outcome in _outcomes(images, _Propose(source, max_pixels), store, workers):
            if outcome.error is not None:
                failures.append((outcome.image_id, outcome.error))
                store.add_failure(outcome.image_id, outcome.error, outcome.digest)
                progress = replace(progress, failed=progress.failed + 1)
            elif outcome.proposals is not None:
                store.add(outcome.image_id, outcome.proposals, outcome.digest, outcome.size)
                progress = replace(progress, computed=progress.computed + 1)
            else:
                progress = replace(progress, reused=progress.reused + 1)
            on_progress(progress)
        store.finish(None if keep_others else [image_id for image_id, _ in images])
    return ProposeResult(out, progress.computed, progress.reused, tuple(sorted(failures)))


@dataclass(frozen=True)
class _Outcome:
    """What became of an image: boxes, or an error, or neither, being known already."""

    image_id: str
    digest: str | None = None
    size: tuple[int, int] | None = None
    proposals: Proposals | None = None
    error: str | None = None


def _outcomes(
    images: Sequence[ImageFile], propose: _Propose, store: Destination, workers: int
) -> Iterator[_Outcome]:
    """First those that are known, then the rest, as they are done."""
    unknown: list[ImageFile] = []
    for image_id, path in images:
        if _is_known(store.digest(image_id), path):
            yield _Outcome(image_id)
        else:
            unknown.append((image_id, path))
    if workers == 0:
        yield from map(propose, unknown)
    else:
        yield from run_in_workers(propose, unknown, workers, _died)


def _is_known(digest: str | None, path: str | Path) -> bool:
    try:
        return digest is not None and digest == image_digest(path)
    except InputError:
        return False


@dataclass(frozen=True)
class _Propose:
    """The work on one image; an object, so that it can be sent to worker processes."""

    source: Source
    max_pixels: int

    def __call__(self, image: ImageFile) -> _Outcome:
        image_id, path = image
        digest = None
        try:
            data = read_image_bytes(path)
            digest = digest_of(data)
            pixels = decode_image(data, path, self.max_pixels)
            size = (pixels.shape[1], pixels.shape[0])
            if isinstance(self.source, Precomputed):
                proposals = self.source.propose_for(image_id, size)
            else:
                proposals = self.source.propose(pixels)
            check_proposals(proposals, *size)
            return _Outcome(image_id, digest, size, proposals)
        except InputError as error:
            return _Outcome(image_id, digest, error=str(error))
        except Exception as error:  # a source's own fault costs its image, not the rest
            told = f"{path}: {self.source.name} failed ({type(error).__name__}: {reason(error)})"
            return _Outcome(image_id, digest, error=told)


def _died(image: ImageFile, how: str) -> _Outcome:
    image_id, path = image
    return _Outcome(image_id, error=f"{path}: {how}")


def _refuse_repeated_ids(images: Sequence[ImageFile]) -> None:
    paths: dict[str, str | Path] = {}
    for image_id, path in images:
        if image_id in paths:
            raise InputError(
                f"{path} and {paths[image_id]} have the same image id {image_id!r}; "
                "give one of them, or propose for them into two stores"
            )
        paths[image_id] = path
