"""Check the boxes of a proposal file against the sizes of the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from frcnn_cli.engine.proposals.remembered import Remembered
from frcnn_cli.engine.proposals.workers import in_groups, map_in_workers, workers_for
from frcnn_cli.engine.records import ImageRecord
from frcnn_proposals.base import Proposals
from frcnn_proposals.checks import check_proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.store.reader import ProposalStore

Size = tuple[int | None, int | None]  # width and height, if they are known


def check_all(
    records: Sequence[ImageRecord], path: Path, proposals: Mapping[str, Proposals], identity: str
) -> None:
    """Raise InputError for the first fault of the boxes, unless they were checked before.

    identity: the proposal_identity of the file.
    """
    remembered = remembered_check(records, identity)
    if remembered.read() is not None:
        return
    check = _Check(path, proposals)
    images = [_sized(record) for record in records]
    for fault in map_in_workers(check, in_groups(images), workers_for(records, proposals)):
        if fault is not None:
            raise InputError(fault)
    remembered.write(len(records))


def remembered_check(records: Sequence[ImageRecord], identity: str) -> Remembered:
    """The check of these images; a value is written once all their boxes have been checked."""
    return Remembered.of("checked-proposals", (identity, *map(_sized, records)))


def _sized(record: ImageRecord) -> tuple[str, Size]:
    return record.image_id, (record.width, record.height)


@dataclass(frozen=True)
class _Check:
    """Checks the boxes of images; can be sent to worker processes."""

    path: Path
    proposals: Mapping[str, Proposals]

    def __call__(self, images: Sequence[tuple[str, Size]]) -> str | None:
        """The first fault, or None."""
        try:
            for image_id, size in images:
                checked(self.path, self.proposals, image_id, size)
        except InputError as error:
            return str(error)
        return None


def checked(path: Path, proposals: Mapping[str, Proposals], image_id: str, size: Size) -> Proposals:
    """Return the proposals of an image of this size. Raises InputError for a fault.

    path: the file of the proposals, for the message.
    """
    if isinstance(proposals, ProposalStore):
        found, own = proposals.with_size(image_id)
        if size in (own, (None, None)):
            return found
    else:
        found = proposals[image_id]
    try:
        check_proposals(found, *size)
    except ValueError as error:
        raise InputError(f"{path}: image {image_id}: {error}.") from error
    return found
