"""The parts of a store: what each of several processes adds, in a store of its own next to it.

Only one process can write a store. The parts of an interrupted run are added by the next one,
whatever its number of processes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from frcnn_proposals.locking import OnWait
from frcnn_proposals.store.destination import Destination
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import ProposalStore, open_store


def part_path(out: Path, rank: int) -> Path:
    """The part of the process `rank` of the store at `out`."""
    return out.with_name(f"{out.name}.rank{rank}")


def add_parts(
    store: Destination, out: Path, provenance: Provenance, on_wait: OnWait | None = None
) -> None:
    """Add the images of all parts of `out` to its `store`, and remove the parts.

    They are removed when their images are on the disk. Those of parts with another provenance are
    not added. An image that failed in one part but has boxes in another gets the boxes. on_wait:
    called before waiting for a process that still writes its part; None does not wait. Raises
    InputError if a part is damaged or in use, or if the store cannot be written.
    """
    if not _parts_of(out):
        return
    store.hold()  # the processes of a run that is not over still need their parts
    paths = _parts_of(out)
    parts = [_finished(path, provenance, on_wait) for path in paths]
    for part in parts:
        for image_id, error in part.failures():
            digest, _ = part.failure(image_id) or (None, error)
            if digest is None or digest != store.digest(image_id):
                store.add_failure(image_id, error, digest)
    for part in parts:
        for image_id in part.ids():
            digest = part.digest(image_id)
            if digest is None or digest != store.digest(image_id):
                store.add(image_id, part[image_id], digest, part.image_size(image_id))
    store.sync()
    for part, path in zip(parts, paths, strict=True):
        part.close()
        path.unlink()


def _parts_of(out: Path) -> list[Path]:
    """The parts of `out` with their final names, which unfinished ones do not have yet.

    A process that was killed at its start has left only its lock file.
    """
    if not out.parent.is_dir():
        return []
    part = rf"{re.escape(out.name)}\.rank\d+"
    files = re.compile(rf"({part})(?:\.partial)?|\.({part})\.lock")
    matches = map(files.fullmatch, os.listdir(out.parent))
    names = {match[1] or match[2] for match in matches if match}
    return [out.with_name(name) for name in sorted(names)]


def _finished(path: Path, provenance: Provenance, on_wait: OnWait | None) -> ProposalStore:
    """Open a part, which gets its final name if its process was interrupted."""
    with Destination(path, provenance, on_wait) as part:
        part.hold()  # removes the lock of a killed process
        part.finish(None, failures_alone=True)
    return open_store(path)
