"""The output store of a run over many images: can be resumed, and is renamed when complete."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.locking import Lock, OnWait
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import ProposalStore, open_store
from frcnn_proposals.store.schema import is_store
from frcnn_proposals.store.writer import StoreWriter, lock_store, partial_path


class Destination:
    """The store at `out` for boxes of one provenance. Only changes are written.

    It starts from the .partial file of an interrupted run with the same provenance, else from the
    finished store. The finished store stays unchanged until finish(). A .partial file is created
    only when there is something to write.
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
        before = None if self._is_begun() else _same_store(out, provenance)
        self._store: ProposalStore | StoreWriter = before or self._locked_store()

    def hold(self) -> None:
        """Lock the store before computing boxes for it. What others have added is read then."""
        if self._lock is None:
            self._store = self._locked_store()

    def digest(self, image_id: str) -> str | None:
        """The digest of the image file that the stored boxes were computed from, or None."""
        return self._store.digest(image_id)

    def digests(self, image_ids: Iterable[str]) -> dict[str, str]:
        """The digests of the given images by id, without those that are not stored."""
        digests = {image_id: self._store.digest(image_id) for image_id in image_ids}
        return {image_id: digest for image_id, digest in digests.items() if digest is not None}

    def has_failure(self, image_id: str) -> bool:
        """Whether the finished store has a reason why the image has no boxes."""
        return isinstance(self._store, ProposalStore) and self._store.failure(image_id) is not None

    def add(
        self, image_id: str, proposals: Proposals, digest: str | None, size: tuple[int, int] | None
    ) -> None:
        """Store the boxes of an image. size: (width, height) in pixels."""
        self._open().add(image_id, proposals, digest=digest, size=size)

    def add_failure(self, image_id: str, reason: str, digest: str | None) -> None:
        """Store the reason why an image has no boxes."""
        known = self._store.failure(image_id) if isinstance(self._store, ProposalStore) else None
        if known != (digest, reason):
            self._open().add_failure(image_id, reason, digest=digest)

    def sync(self) -> None:
        """Write everything to the disk, so that it survives a power failure."""
        if isinstance(self._store, StoreWriter):
            self._store.sync()

    def finish(self, keep_only: Sequence[str] | None) -> None:
        """Rename the finished store to its final name. keep_only: other images are removed."""
        if keep_only is not None and self._store.count() > len(keep_only):
            self._open().keep_only(keep_only)
        if isinstance(self._store, StoreWriter):
            self._store.finish()

    def __enter__(self) -> Destination:
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self._store, StoreWriter):
            self._store.close()
        elif self._lock is not None:
            self._lock.release()

    def _open(self) -> StoreWriter:
        self.hold()
        if isinstance(self._store, ProposalStore):
            self._store = self._writer()
        return self._store

    def _locked_store(self) -> ProposalStore | StoreWriter:
        self._lock = lock_store(self._out, self._on_wait)
        try:
            before = None if self._is_begun() else _same_store(self._out, self._provenance)
            return before or self._writer()
        except BaseException:
            self._lock.release()
            raise

    def _is_begun(self) -> bool:
        return partial_path(self._out).exists()

    def _writer(self) -> StoreWriter:
        """A writer that starts from the finished store, if it has the same provenance."""
        seed = None if _same_store(self._out, self._provenance) is None else self._out
        return StoreWriter(self._out, self._provenance, seed=seed, lock=self._lock)


def _same_store(path: Path, provenance: Provenance) -> ProposalStore | None:
    """The finished store at `path` if it has this provenance, else None."""
    if not path.exists():
        return None
    store = open_store(path)
    return store if store.provenance.fingerprint == provenance.fingerprint else None
