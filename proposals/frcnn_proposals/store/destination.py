"""The output store of a run over many images: can be resumed, and is renamed when complete."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import ProposalStore, open_store
from frcnn_proposals.store.schema import is_store
from frcnn_proposals.store.writer import StoreWriter, partial_path


class Destination:
    """The store at `out` for boxes of one provenance. Only changes are written.

    It starts from the .partial file of an interrupted run with the same provenance, else from the
    finished store. The finished store stays unchanged until finish(). A .partial file is created
    only when there is something to write.
    Raises InputError if `out` is a file but not a store, or if another run is writing.
    """

    def __init__(self, out: Path, provenance: Provenance) -> None:
        if out.exists() and not is_store(out):
            raise InputError(f"{out}: exists and is not a proposal store; choose another file")
        self._out = out
        self._provenance = provenance
        before = _same_store(out, provenance)
        self._store: ProposalStore | StoreWriter
        if before is None or partial_path(out).exists():
            self._store = StoreWriter(out, provenance, seed=None if before is None else out)
        else:
            self._store = before

    def digest(self, image_id: str) -> str | None:
        """The digest of the image file that the stored boxes were computed from, or None."""
        return self._store.digest(image_id)

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

    def _open(self) -> StoreWriter:
        if isinstance(self._store, ProposalStore):
            self._store = StoreWriter(self._out, self._provenance, seed=self._out)
        return self._store


def _same_store(path: Path, provenance: Provenance) -> ProposalStore | None:
    """The finished store at `path` if it has this provenance, else None."""
    if not path.exists():
        return None
    store = open_store(path)
    return store if store.provenance.fingerprint == provenance.fingerprint else None
