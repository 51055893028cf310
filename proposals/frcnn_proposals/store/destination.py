"""The output store of a run over many images, which can be resumed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.locking import Lock, OnWait
from frcnn_proposals.store.append import append_rows
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import ProposalStore, open_store
from frcnn_proposals.store.schema import is_store
from frcnn_proposals.store.writer import (
    StoreWriter,
    lock_store,
    partial_path,
    remove_stale_lock,
)


class Destination:
    """The store at `out` for boxes of one provenance. Only changes are written.

    New boxes are written to a .partial file, which is created only when there is something to
    write, and resumed after an interruption. finish() adds them to the finished store, or renames
    the file if there is no store of this provenance. Until then, the finished store is unchanged.
    on_wait: called before waiting for another process that writes the store; None does not wait.
    Raises InputError if `out` is a file but not a store, or if another process is writing and
    on_wait is None.
    """

    def __init__(self, out: Path, provenance: Provenance, on_wait: OnWait | None = None) -> None:
        if out.exists() and not is_store(out):
            raise InputError(f"{out}: exists and is not a proposal store; choose another file")
        self._out = out
        self._provenance = provenance
        self._on_wait = on_wait
        self._lock: Lock | None = None
        self._added: StoreWriter | None = None
        self._finished = _same_store(out, provenance)
        if self._finished is None or self._is_begun():
            self.hold()

    def hold(self) -> None:
        """Lock the store before computing boxes for it. What others have added is read then.

        Raises InputError if the store cannot be written or is damaged, or if another process is
        writing it and on_wait is None.
        """
        if self._lock is not None:
            return
        if self._finished is not None:
            self._finished.close()  # the process that is waited for may add rows in place
        self._lock = lock_store(self._out, self._on_wait)
        try:
            self._finished = _same_store(self._out, self._provenance)
            if self._finished is None or self._is_begun():
                self._open()
        except BaseException:
            self._lock.release()
            raise

    def digest(self, image_id: str) -> str | None:
        """The digest of the image file that the stored boxes were computed from, or None."""
        if self._added is not None and self._added.holds(image_id):
            return self._added.digest(image_id)
        return None if self._finished is None else self._finished.digest(image_id)

    def digests(self, image_ids: Iterable[str]) -> dict[str, str]:
        """The digests of the given images by id, without those that are not stored."""
        digests = {image_id: self.digest(image_id) for image_id in image_ids}
        return {image_id: digest for image_id, digest in digests.items() if digest is not None}

    def has_failure(self, image_id: str) -> bool:
        """Whether the finished store has a reason why the image has no boxes."""
        return self._failure(image_id) is not None

    def add(
        self, image_id: str, proposals: Proposals, digest: str | None, size: tuple[int, int] | None
    ) -> None:
        """Store the boxes of an image. size: (width, height) in pixels."""
        self._open().add(image_id, proposals, digest=digest, size=size)

    def add_failure(self, image_id: str, reason: str, digest: str | None) -> None:
        """Store the reason why an image has no boxes."""
        if self._failure(image_id) != (digest, reason):
            self._open().add_failure(image_id, reason, digest=digest)

    def sync(self) -> None:
        """Write everything that was added to the disk, so that it survives a power failure."""
        if self._added is not None:
            self._added.sync()

    def finish(self, keep_only: Sequence[str] | None, failures_alone: bool = False) -> None:
        """Complete the store at its final name. keep_only: other images are removed.

        If all images failed, no new store is created, unless `failures_alone`. Raises InputError if
        the store cannot be written, or as `hold`.
        """
        stores = [store for store in (self._finished, self._added) if store is not None]
        count = sum(store.count() for store in stores)
        remaining = keep_only if keep_only is not None and count > len(keep_only) else None
        if self._finished is None:
            added = self._open()
            if remaining is not None:
                added.keep_only(remaining)
            if added.has_only_failures() and not failures_alone:
                added.discard()
            else:
                added.finish()
        elif self._added is not None or remaining is not None:
            added = self._open()
            added.complete()
            self._finished.close()
            append_rows(self._out, added.partial, remaining)
            added.partial.unlink()

    def __enter__(self) -> Destination:
        return self

    def __exit__(self, *_: object) -> None:
        if self._finished is not None:
            self._finished.close()
        if self._added is not None:
            self._added.close()
        elif self._lock is not None:
            self._lock.release()
        else:
            remove_stale_lock(self._out)

    def _failure(self, image_id: str) -> tuple[str | None, str] | None:
        """(digest, reason) of a failure in the finished store that no new row replaces."""
        if self._finished is None or (self._added is not None and self._added.holds(image_id)):
            return None
        return self._finished.failure(image_id)

    def _open(self) -> StoreWriter:
        self.hold()
        if self._added is None:
            self._added = StoreWriter(self._out, self._provenance, lock=self._lock)
        return self._added

    def _is_begun(self) -> bool:
        return partial_path(self._out).exists()


def _same_store(path: Path, provenance: Provenance) -> ProposalStore | None:
    """The finished store at `path` if it has this provenance, else None."""
    if not path.exists():
        return None
    store = open_store(path)
    return store if store.provenance.fingerprint == provenance.fingerprint else None
