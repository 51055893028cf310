"""Merge stores that were computed separately, such as the shards of a large folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.store.reader import ProposalStore, open_store
from frcnn_proposals.store.schema import check_store_name
from frcnn_proposals.store.writer import StoreWriter


@dataclass(frozen=True)
class MergeResult:
    """images: number of images with boxes. failures: (id, reason) of images without boxes."""

    images: int
    failures: tuple[tuple[str, str], ...]


def merge_stores(
    paths: Sequence[Path], out: Path, on_image: Callable[[], None] = lambda: None
) -> MergeResult:
    """Write one store with the content of the stores at `paths`.

    An image that failed in one store but has boxes in another gets the boxes.
    Raises MisuseError if `out` is one of `paths` or ends like another format, and InputError if
    the stores come from different sources or have different boxes for the same image.
    """
    check_store_name(out)
    if out.resolve() in [path.resolve() for path in paths]:
        raise MisuseError(f"{out}: is one of the stores to merge; choose another --out")
    stores = [open_store(path) for path in paths]
    _reject_mixed(stores)
    with StoreWriter(out, stores[0].provenance, resume=False) as writer:
        for store in stores:
            for image_id, reason in store.failures():
                failure = store.failure(image_id)
                writer.add_failure(image_id, reason, digest=failure[0] if failure else None)
        for index, store in enumerate(stores):
            for image_id in store.ids():
                _copy(image_id, store, stores[:index], writer)
                on_image()
        writer.finish()
    merged = open_store(out)
    return MergeResult(len(merged), tuple(merged.failures()))


def _copy(
    image_id: str, store: ProposalStore, earlier: Sequence[ProposalStore], writer: StoreWriter
) -> None:
    found = store[image_id]
    for other in earlier:
        if image_id in other:
            if not _same(other[image_id], found):
                raise InputError(
                    f"{other.path} and {store.path} have different boxes for image {image_id!r}"
                )
            return
    writer.add(image_id, found, digest=store.digest(image_id), size=store.image_size(image_id))


def _same(one: Proposals, other: Proposals) -> bool:
    if one.scores is None or other.scores is None:
        same_scores = one.scores is other.scores
    else:
        same_scores = np.array_equal(one.scores, other.scores)
    return same_scores and np.array_equal(one.boxes, other.boxes)


def _reject_mixed(stores: Sequence[ProposalStore]) -> None:
    first = stores[0]
    for other in stores[1:]:
        if other.provenance.fingerprint != first.provenance.fingerprint:
            raise InputError(
                f"{first.path} has boxes of {first.provenance.describe()},\n"
                f"{other.path} of {other.provenance.describe()}; merge stores of the same source"
            )
