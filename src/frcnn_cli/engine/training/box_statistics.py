"""Statistics of the offsets from RoIs to objects, which normalise the targets (paper, 2.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.boxes import BoxCoding
from frcnn_cli.engine.datasets.fingerprint import annotation_digest
from frcnn_cli.engine.proposals.box_checks import Size, checked, remembered_check
from frcnn_cli.engine.proposals.remembered import Remembered
from frcnn_cli.engine.proposals.workers import in_groups, map_in_workers, workers_for
from frcnn_cli.engine.records import GroundTruth, ImageRecord
from frcnn_cli.engine.training.sampling import (
    Candidates,
    foreground_candidates,
    memory_names,
    target_offsets,
)
from frcnn_proposals.base import Proposals
from frcnn_proposals.digest import proposal_identity
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.formats.read import RecordedProposals

if TYPE_CHECKING:
    from frcnn_cli.engine.training.run import Run

# Means and standard deviations of offsets, (K, 4) each, by class.
Statistics = tuple[NDArray[np.float32], NDArray[np.float32]]


def target_statistics(
    images: Iterable[Candidates],
    classes: int,
    foreground_iou: float,
    coding: BoxCoding = "inclusive",
    with_flipped: bool = False,
) -> Statistics:
    """Means and standard deviations (K, 4) of the offsets of all RoIs with IoU >= foreground_iou.

    images: each item has the RoIs of one or several images.
    with_flipped: also count the mirror image of each RoI, whose tx has the opposite sign.

    A class with fewer than two such RoIs takes the statistics of all classes together. A
    deviation of zero becomes one.
    """
    count = np.zeros((classes, 1))
    total, squares = np.zeros((classes, 4)), np.zeros((classes, 4))
    for candidates in images:
        chosen = np.flatnonzero((candidates.iou >= foreground_iou) & (candidates.labels > 0))
        targets = target_offsets(candidates, chosen, coding).astype(np.float64)
        index = candidates.labels[chosen] - 1
        np.add.at(count[:, 0], index, 1)
        # One index per number: NumPy adds rows ten times slower.
        cells = (index[:, None] * 4 + np.arange(4)).ravel()
        np.add.at(total.ravel(), cells, targets.ravel())
        np.add.at(squares.ravel(), cells, (targets**2).ravel())
    rare = count[:, 0] < 2
    count[rare], total[rare], squares[rare] = count.sum(0), total.sum(0), squares.sum(0)
    count = np.maximum(count, 1)
    if with_flipped:
        total[:, 0] = 0.0
    means = total / count
    deviations = np.sqrt(np.maximum(squares / count - means**2, 0))
    deviations[deviations < 1e-8] = 1.0
    return means.astype(np.float32), deviations.astype(np.float32)


def box_statistics(run: Run, coding: BoxCoding) -> Statistics:
    """The target_statistics of the images that a run trains on.

    They need the boxes and overlaps of all images. So the first process of the team computes them
    for all, with workers, and those of a store or of parts are remembered for later runs on the
    same data. Raises MisuseError if an image has no annotation.
    """
    for record in run.dataset.images:
        if record.truth is None:
            raise MisuseError(
                f"{run.dataset.name}, split {run.dataset.split}: image {record.image_id} has no "
                "annotation.\nTrain on an annotated split."
            )
    statistics = run.team.of_first(_known_statistics(run, coding) if run.team.is_first else None)
    assert statistics is not None
    return statistics


def _known_statistics(run: Run, coding: BoxCoding) -> Statistics:
    """The remembered statistics, or else computed ones, which are remembered."""
    if not isinstance(run.proposals, RecordedProposals):
        return _computed_statistics(run, coding)
    # Before the boxes are read, because the file may be replaced in the meantime.
    identity = proposal_identity(run.proposals.path)
    remembered = _remembered(run, coding, identity)
    known = _usable(remembered.read(), len(run.dataset.classes))
    if known is not None:
        return known
    means, deviations = _computed_statistics(run, coding)
    remembered.write([means.tolist(), deviations.tolist()])
    if run.unchecked:  # so that resuming the run reads no boxes
        remembered_check(run.dataset.images, identity).write(len(run.dataset))
    return means, deviations


def _usable(value: Any, classes: int) -> Statistics | None:
    """The statistics in a JSON value; None if it is damaged, or was not remembered."""
    try:
        with np.errstate(over="ignore"):
            found = np.array(value or [], np.float32)
    except (TypeError, ValueError, OverflowError):
        return None
    if found.shape != (2, classes, 4) or not np.isfinite(found).all() or (found[1] <= 0).any():
        return None
    return found[0], found[1]


def _computed_statistics(run: Run, coding: BoxCoding) -> Statistics:
    sampling = run.settings.sampling
    with _one_thread():
        return target_statistics(
            _foreground(run),
            len(run.dataset.classes),
            sampling.foreground_iou,
            coding,
            with_flipped=sampling.flip,
        )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch use one thread: its other threads would spin on the cores of the workers.

    The offsets of a group of images take longer to divide among threads than to compute.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _foreground(run: Run) -> Iterator[Candidates]:
    """Yield the foreground of each group of images, in their order."""
    images, settings = run.dataset.images, run.settings
    iou = settings.sampling.foreground_iou
    read = _Foreground(run.proposals, settings.proposals, iou, run.unchecked)
    groups = map(_Group.of, in_groups(images))
    for found in map_in_workers(read, groups, workers_for(images, run.proposals)):
        if isinstance(found, str):
            raise InputError(found)
        yield found


@dataclass(frozen=True)
class _Group:
    """What a worker needs of several images: a few large arrays are sent faster than many records.

    objects: boxes (T, 4) of the objects of all images that are trained on; classes: (T,). counts:
    number of objects of each image.
    """

    ids: tuple[str, ...]
    paths: tuple[str, ...]
    sizes: tuple[Size, ...]
    objects: NDArray[np.float32]
    classes: NDArray[np.int64]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, records: Sequence[ImageRecord]) -> _Group:
        truths = [record.truth or GroundTruth() for record in records]
        boxes, classes, difficult, crowd = (
            np.concatenate(columns)
            for columns in zip(
                *((t.boxes, t.labels, t.difficult, t.crowd) for t in truths), strict=True
            )
        )
        image_of = np.repeat(np.arange(len(truths)), [len(truth) for truth in truths])
        trained = ~(difficult | crowd)
        counts = np.bincount(image_of[trained], minlength=len(truths))
        return cls(
            tuple(record.image_id for record in records),
            tuple(str(record.path) for record in records),
            tuple((record.width, record.height) for record in records),
            boxes[trained],
            classes[trained],
            tuple(counts.tolist()),
        )


@dataclass(frozen=True)
class _Foreground:
    """A function that finds the foreground of a group of images, or returns the first fault.

    It can be sent to worker processes. count: number of best proposals to use; None uses all. iou:
    minimum overlap of the foreground. unchecked: check the boxes of recorded proposals.
    """

    proposals: Mapping[str, Proposals]
    count: int | None
    iou: float
    unchecked: bool

    def __call__(self, group: _Group) -> Candidates | str:
        parts, end = [], 0
        try:
            for index, objects in enumerate(group.counts):
                start, end = end, end + objects
                own = slice(start, end)
                with memory_names(group.paths[index]):
                    boxes = self._boxes(group.ids[index], group.sizes[index])
                    found = foreground_candidates(
                        boxes, group.objects[own], group.classes[own], self.iou
                    )
                parts.append((found.boxes, found.labels, found.matched, found.iou, found.ignored))
        except InputError as error:
            return str(error)
        return Candidates(*map(np.concatenate, zip(*parts, strict=True)))

    def _boxes(self, image_id: str, size: Size) -> NDArray[np.float32]:
        """The best boxes of an image."""
        if self.unchecked and isinstance(self.proposals, RecordedProposals):
            found = checked(self.proposals.path, self.proposals, image_id, size)
        else:
            found = self.proposals[image_id]
        return found.top(self.count).boxes


def _remembered(run: Run, coding: BoxCoding, identity: str) -> Remembered:
    """The statistics, by all that they depend on. identity: of the proposals."""
    settings = run.settings
    chosen = (settings.proposals, settings.sampling.foreground_iou, settings.sampling.flip)
    classes = len(run.dataset.classes)
    images = ((r.image_id, annotation_digest(r)) for r in run.dataset.images)
    # Only the statistics of a given file show that its boxes were checked.
    depends_on = (identity, run.unchecked, chosen, settings.is_weak, coding, classes, *images)
    return Remembered.of("box-statistics", depends_on)
