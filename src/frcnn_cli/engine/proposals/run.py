"""Run a proposal source on many images, and add the results to a store."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from frcnn_cli.engine.distributed.devices import usable_cores
from frcnn_cli.engine.proposals.workers import run_in_workers
from frcnn_cli.engine.records import ImageFile
from frcnn_proposals.base import Proposals, Source
from frcnn_proposals.errors import InputError, lacks_operators
from frcnn_proposals.images import (
    MAX_PIXELS,
    decode_image,
    digest_of,
    image_digest,
    read_image_bytes,
)
from frcnn_proposals.locking import OnWait
from frcnn_proposals.sources.call import call_source, failure_message, load_files, reject_per_stream
from frcnn_proposals.store.destination import Destination
from frcnn_proposals.store.parts import add_parts
from frcnn_proposals.store.provenance import Provenance

_CHECKED_AT_ONCE = 256


@dataclass(frozen=True)
class ProposeProgress:
    """Progress of a run in images; reused ones were already in the store.

    size: bytes of the boxes and scores of the computed images.
    """

    total: int
    computed: int = 0
    reused: int = 0
    failed: int = 0
    size: int = 0

    @property
    def done(self) -> int:
        return self.computed + self.reused + self.failed


@dataclass(frozen=True)
class ProposeResult:
    """The result of a run. path: the store, which may be missing if all images failed.

    failures: (image id, reason), also recorded in the store. clipped: number of
    computed boxes that reached outside their images.
    """

    path: Path
    computed: int
    reused: int
    failures: tuple[tuple[str, str], ...]
    clipped: int = 0


def propose_images(
    images: Sequence[ImageFile],
    source: Source,
    out: Path,
    *,
    workers: int | None = None,
    keep_others: bool = False,
    failures_alone: bool = False,
    stored: Mapping[str, str] | None = None,
    on_progress: Callable[[ProposeProgress], None] = lambda progress: None,
    on_wait: OnWait | None = None,
    max_pixels: int = MAX_PIXELS,
) -> ProposeResult:
    """Compute the proposals of `source` for all `images`, and write them to the store `out`.

    An image is not computed again if the store (or the .partial files of an interrupted run)
    already has it with the same bytes, source, parameters and version. An image that fails is
    recorded in the store with the reason and does not stop the others; if all fail, no new store
    is created, unless `failures_alone`. Images with more than `max_pixels` fail.
    workers: processes; None is one per core, 0 computes in this process. keep_others: keep
    stored images that are not among `images` (for a cache); otherwise they are removed.
    stored: digests by image id of images that are in another store, and not computed either; `out`
    is then a part of that store, and created even if all images fail.
    on_wait: called before waiting for another process that writes the store, whose images are
    then not computed again; None does not wait.
    Raises InputError if two images have the same id, the store cannot be written, the file of a
    Precomputed source cannot be read, or another process writes the store and on_wait is None;
    MisuseError for a source that is for videos; see also run_in_workers.
    """
    _reject_repeated_ids(images)
    reject_per_stream(source)
    load_files(source)
    workers = usable_cores() if workers is None else workers
    progress = ProposeProgress(len(images))
    failures: list[tuple[str, str]] = []
    clipped = 0
    provenance = Provenance.of(source)
    with Destination(out, provenance, on_wait) as store:
        add_parts(store, out, provenance, on_wait)
        propose = _Propose(source, max_pixels)
        for outcome in _outcomes(images, propose, store, stored or {}, workers):
            if outcome.error is not None:
                failures.append((outcome.image_id, outcome.error))
                store.add_failure(outcome.image_id, outcome.error, outcome.digest)
                progress = replace(progress, failed=progress.failed + 1)
            elif outcome.proposals is not None:
                store.add(outcome.image_id, outcome.proposals, outcome.digest, outcome.size)
                size = progress.size + _stored_size(outcome.proposals)
                progress = replace(progress, computed=progress.computed + 1, size=size)
                clipped += outcome.proposals.clipped
            else:
                progress = replace(progress, reused=progress.reused + 1)
            on_progress(progress)
        kept = None if keep_others else [image_id for image_id, _ in images]
        store.finish(kept, failures_alone=failures_alone or stored is not None)
    return ProposeResult(out, progress.computed, progress.reused, tuple(sorted(failures)), clipped)


def _stored_size(proposals: Proposals) -> int:
    return proposals.boxes.nbytes + (0 if proposals.scores is None else proposals.scores.nbytes)


@dataclass(frozen=True)
class _Outcome:
    """The result for one image: proposals, or an error, or neither if it is already stored."""

    image_id: str
    digest: str | None = None
    size: tuple[int, int] | None = None
    proposals: Proposals | None = None
    error: str | None = None


def _outcomes(
    images: Sequence[ImageFile],
    propose: _Propose,
    store: Destination,
    elsewhere: Mapping[str, str],
    workers: int,
) -> Iterator[_Outcome]:
    """Yield the stored images first, then the others in the order in which they finish."""

    def digest(image_id: str) -> str | None:
        return elsewhere.get(image_id) or store.digest(image_id)

    missing = yield from _stored_outcomes(images, digest, workers)
    if not all(store.has_failure(image_id) for image_id, _ in missing):
        store.hold()
        missing = yield from _stored_outcomes(missing, digest, workers)
    if workers == 0:
        yield from map(propose, missing)
    else:
        died = partial(_worker_died, propose.source.name)
        yield from run_in_workers(propose, missing, workers, died)


def _stored_outcomes(
    images: Sequence[ImageFile], digest: Callable[[str], str | None], threads: int
) -> Generator[_Outcome, None, list[ImageFile]]:
    """Yield the stored images, whose files are read in `threads`; returns the others."""
    missing = []
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for start in range(0, len(images), _CHECKED_AT_ONCE):
            part = images[start : start + _CHECKED_AT_ONCE]
            digests = [digest(image_id) for image_id, _ in part]
            are_stored = pool.map(is_stored, digests, [path for _, path in part])
            for image, stored in zip(part, are_stored, strict=True):
                if stored:
                    yield _Outcome(image[0])
                else:
                    missing.append(image)
    return missing


def is_stored(digest: str | None, path: str | Path) -> bool:
    """Whether the image file has the bytes with this SHA-256."""
    try:
        return digest is not None and digest == image_digest(path)
    except InputError:
        return False


@dataclass(frozen=True)
class _Propose:
    """The work on one image. A picklable object, so that it can be sent to worker processes."""

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
            return _Outcome(image_id, digest, size, call_source(self.source, image_id, pixels))
        except Exception as error:
            if lacks_operators(error):
                raise
            return _Outcome(image_id, digest, error=failure_message(str(path), error))


def _worker_died(source: str, image: ImageFile, cause: str) -> _Outcome:
    image_id, path = image
    return _Outcome(image_id, error=f"{path}: {source} failed: {cause}")


def _reject_repeated_ids(images: Sequence[ImageFile]) -> None:
    paths: dict[str, str | Path] = {}
    for image_id, path in images:
        if image_id in paths:
            raise InputError(
                f"{path} and {paths[image_id]} have the same image id {image_id!r}; "
                "use only one of them, or two stores"
            )
        paths[image_id] = path
