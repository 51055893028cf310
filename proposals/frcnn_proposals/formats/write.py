"""Write proposals in any format that can be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import whole_file
from frcnn_proposals.formats.base import ToWrite
from frcnn_proposals.formats.known import STORE, writable_named
from frcnn_proposals.image_ids import match_ids
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import ProposalStore
from frcnn_proposals.store.writer import StoreWriter, in_batches


def write_proposals(
    path: str | Path,
    proposals: Mapping[str, Proposals],
    format: str,
    *,
    image_ids: Sequence[str] | None = None,
    image_paths: Mapping[str, Path] | None = None,
    provenance: Provenance | None = None,
) -> int:
    """Write boxes by image id to a file, and return the number of images.

    format: "store", or the name of a writable format in known.py. image_ids: the images to write,
        in this order; None for all, sorted. image_paths: the image files, which the formats of
        MMDetection 3 and COCO need. provenance: written to a store.
    Raises MisuseError if an argument that the format needs is missing, InputError if an image of
    image_ids has no boxes.
    """
    path = Path(path)
    if image_ids is not None:
        match = match_ids(proposals, image_ids)
        if match.missing:
            missing = replace(match, extra=(), extra_count=0).describe()
            raise InputError(f"the proposals: {missing}")
    ids = sorted(proposals) if image_ids is None else list(image_ids)
    if format == STORE:
        _write_store(path, proposals, ids, provenance)
        return len(ids)
    writable = writable_named(format)
    if writable.needs_order and image_ids is None:
        raise MisuseError(
            f"{format} has no ids, only an order; pass the list of images (--image-set) that "
            "defines the order"
        )
    with whole_file(path) as file:
        writable.write(ToWrite(ids, proposals, image_paths), file)
    return len(ids)


def _write_store(
    path: Path,
    proposals: Mapping[str, Proposals],
    ids: Sequence[str],
    provenance: Provenance | None,
) -> None:
    store = proposals if isinstance(proposals, ProposalStore) else None
    if provenance is None:
        provenance = Provenance("unknown") if store is None else store.provenance
    with StoreWriter(path, provenance, resume=False) as writer:
        for batch in in_batches(ids):
            with writer.batch():
                for image_id in batch:
                    digest = None if store is None else store.digest(image_id)
                    size = None if store is None else store.image_size(image_id)
                    writer.add(image_id, proposals[image_id], digest=digest, size=size)
        writer.finish()
