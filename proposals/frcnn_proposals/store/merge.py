"""Merge stores that were computed separately, such as the shards of a large folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frcnn_proposals.base import Proposals
from frcnn_proposals.digest import proposal_state
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import ProposalStore, open_store
from frcnn_proposals.store.schema import check_store_name
from frcnn_proposals.store.writer import StoreWriter, in_batches


@dataclass(frozen=True)
class MergeResult:
    """images: number of images with boxes. failures: (id, reason) of images without boxes."""

    images: int
    failures: tuple[tuple[str, str], ...]


def merge_stores(
    paths: Sequence[Path], out: Path, on_image: Callable[[], None] = lambda: None
) -> MergeResult:
    """Write one store with the content of the stores at `paths`.

    An image that failed in one store but has boxes in another gets the boxes. An interrupted merge
    of the same files is resumed. One store is open at a time.
    Raises MisuseError if `out` is one of `paths` or ends like another format, and InputError if
    the stores come from different sources or have different boxes for the same image.
    """
    check_store_name(out)
    if out.resolve() in [path.resolve() for path in paths]:
        raise MisuseError(f"{out}: is one of the stores to merge; choose another --out")
    provenance = _common_provenance(paths)
    with StoreWriter(out, provenance, work=_identity(paths)) as writer:
        start, last = json.loads(writer.position or '[0, ""]')
        for number, path in enumerate(paths):
            with closing(open_store(path)) as store:
                if number < start:
                    for _ in range(len(store)):
                        on_image()
                    continue
                if number > start or not last:
                    with writer.batch(json.dumps([number, ""])):
                        _add_failures(store, writer)
                for batch in in_batches(store.ids()):
                    if number > start or batch[-1] > last:
                        with writer.batch(json.dumps([number, batch[-1]])):
                            for image_id in batch:
                                _add(image_id, store, paths[:number], writer)
                    for _ in batch:
                        on_image()
        writer.finish()
    with closing(open_store(out)) as merged:
        return MergeResult(len(merged), tuple(merged.failures()))


def _add_failures(store: ProposalStore, writer: StoreWriter) -> None:
    for image_id, reason in store.failures():
        if writer.proposals(image_id) is None:
            failure = store.failure(image_id)
            writer.add_failure(image_id, reason, digest=failure[0] if failure else None)


def _add(image_id: str, store: ProposalStore, earlier: Sequence[Path], writer: StoreWriter) -> None:
    found, known = store[image_id], writer.proposals(image_id)
    if known is None:
        writer.add(image_id, found, digest=store.digest(image_id), size=store.image_size(image_id))
    elif not _same(known, found):
        other = next(path for path in earlier if image_id in open_store(path))
        raise InputError(f"{other} and {store.path} have different boxes for image {image_id!r}")


def _same(one: Proposals, other: Proposals) -> bool:
    if one.scores is None or other.scores is None:
        same_scores = one.scores is other.scores
    else:
        same_scores = np.array_equal(one.scores, other.scores)
    return same_scores and np.array_equal(one.boxes, other.boxes)


def _common_provenance(paths: Sequence[Path]) -> Provenance:
    """The provenance of the first store. Raises InputError if another one has a different one."""
    first: Provenance | None = None
    for path in paths:
        with closing(open_store(path)) as store:
            first = first or store.provenance
            if store.provenance.fingerprint != first.fingerprint:
                raise InputError(
                    f"{paths[0]} has boxes of {first.describe()},\n"
                    f"{path} of {store.provenance.describe()}; merge stores of the same source"
                )
    assert first is not None
    return first


def _identity(paths: Sequence[Path]) -> str:
    """Text that differs for other files, and for files that were written in the meantime."""
    lines = [f"{path.resolve()}\0{proposal_state(path)}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
