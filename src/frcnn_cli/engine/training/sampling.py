"""Sampling of an image's RoIs for a mini-batch, with labels and target offsets (paper, 2.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray

from frcnn_cli.engine.boxes import BoxCoding, best_overlaps, encode_boxes
from frcnn_cli.engine.datasets.fingerprint import annotation_digest
from frcnn_cli.engine.proposals.remembered import Remembered
from frcnn_cli.engine.proposals.workers import in_groups, map_in_workers, workers_for
from frcnn_cli.engine.records import GroundTruth, ImageRecord
from frcnn_cli.engine.settings import Sampling, TrainSettings
from frcnn_cli.engine.training.run import Run
from frcnn_cli.engine.training.workers import memory_names
from frcnn_proposals.base import Proposals
from frcnn_proposals.digest import proposal_state
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.store.reader import ProposalStore

# Means and standard deviations of offsets, (K, 4) each, by class.
Statistics = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Candidates:
    """All RoIs of one image: its ground-truth boxes, then its proposals.

    boxes: (N, 4). labels: (N,), class of the object with the highest IoU, however low.
    matched: (N, 4), box of that object. iou: (N,), IoU with it. ignored: bool (N,), RoIs on a
    difficult or crowd object, which are neither foreground nor background.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    matched: NDArray[np.float32]
    iou: NDArray[np.float32]
    ignored: NDArray[np.bool_]


@dataclass(frozen=True)
class RoiSample:
    """RoIs of one image for one step.

    boxes: (R, 4). labels: (R,). targets: (R, 4), offsets, not normalised.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    targets: NDArray[np.float32]


@dataclass(frozen=True)
class RankedSample:
    """RoIs of one image that the ranker learns from: boxes (M, 4), their best IoU (M,)."""

    boxes: NDArray[np.float32]
    iou: NDArray[np.float32]


@dataclass(frozen=True)
class Quota:
    """How many RoIs to draw from one image: at most `rois`, of these at most `foreground`."""

    rois: int
    foreground: int


def match_candidates(
    proposals: NDArray[np.float32], truth: GroundTruth, foreground_iou: float
) -> Candidates:
    """Prepend the trainable objects to `proposals` (N, 4) and match each box to an object."""
    untrained = truth.difficult | truth.crowd
    objects, classes = truth.boxes[~untrained], truth.labels[~untrained]
    boxes = np.concatenate([objects, proposals]).astype(np.float32)
    if len(objects) == 0:
        best, iou = np.zeros(len(boxes), np.int64), np.zeros(len(boxes), np.float32)
        labels, matched = np.zeros(len(boxes), np.int64), boxes
    else:
        best, iou = best_overlaps(boxes, objects)
        labels, matched = classes[best], objects[best]
    ignored = np.zeros(len(boxes), bool)
    if untrained.any():
        on_difficult = best_overlaps(boxes, truth.boxes[untrained])[1] >= foreground_iou
        ignored = on_difficult & (iou < foreground_iou)
    return Candidates(boxes, labels, matched, iou, ignored)


def candidates_of(
    record: ImageRecord, proposals: Mapping[str, Proposals], settings: TrainSettings
) -> Candidates:
    """The RoIs of an image that a run samples from; with image labels, its proposals alone."""
    truth = GroundTruth() if settings.is_weak or record.truth is None else record.truth
    with memory_names(record.path):
        boxes = proposals[record.image_id].top(settings.proposals).boxes
        return match_candidates(boxes, truth, settings.sampling.foreground_iou)


def sample_rois(
    candidates: Candidates,
    quota: Quota,
    settings: Sampling,
    generator: np.random.Generator,
    coding: BoxCoding = "inclusive",
) -> RoiSample:
    """Draw at most quota.rois RoIs: foreground up to its quota, the rest background.

    Foreground: IoU of at least foreground_iou with an object. Background: highest IoU in
    background_iou, lower bound included. If there are too few of one kind, fewer RoIs are drawn,
    as in the first implementation. An image without objects has only background RoIs, regardless of
    the lower bound.
    """
    foreground, background = foreground_and_background(candidates, settings)
    foreground = _draw(foreground, quota.foreground, generator)
    background = _draw(background, quota.rois - len(foreground), generator)
    chosen = np.concatenate([foreground, background])
    labels = candidates.labels[chosen].copy()
    labels[len(foreground) :] = 0
    targets = np.zeros((len(chosen), 4), np.float32)
    targets[: len(foreground)] = target_offsets(candidates, foreground, coding)
    return RoiSample(candidates.boxes[chosen], labels, targets)


def foreground_and_background(
    candidates: Candidates, settings: Sampling
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the RoIs that `sample_rois` draws from, of either kind."""
    low, high = settings.background_iou
    if not (candidates.labels > 0).any():
        low = 0.0
    usable = ~candidates.ignored
    foreground = np.flatnonzero((candidates.iou >= settings.foreground_iou) & usable)
    background = np.flatnonzero((candidates.iou >= low) & (candidates.iou < high) & usable)
    return foreground, background


def all_rois(candidates: Candidates) -> RoiSample:
    """All RoIs of one image, without labels and targets, for training from image labels."""
    count = len(candidates.boxes)
    return RoiSample(candidates.boxes, np.zeros(count, np.int64), np.zeros((count, 4), np.float32))


def sample_ranked(
    candidates: Candidates, count: int, generator: np.random.Generator
) -> RankedSample:
    """Draw at most `count` RoIs uniformly, for the ranker; ignored RoIs are not drawn."""
    chosen = _draw(np.flatnonzero(~candidates.ignored), count, generator)
    return RankedSample(candidates.boxes[chosen], candidates.iou[chosen])


def target_statistics(
    images: Iterable[Candidates],
    classes: int,
    foreground_iou: float,
    coding: BoxCoding = "inclusive",
    with_flipped: bool = False,
) -> Statistics:
    """Means and standard deviations (K, 4) of the offsets of all RoIs with IoU >= foreground_iou.

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
        np.add.at(count, index, 1)
        np.add.at(total, index, targets)
        np.add.at(squares, index, targets**2)
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
    for all, with workers, and those of a store are remembered for later runs on the same data.
    Raises MisuseError if an image has no annotation.
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
    remembered = _remembered(run, coding)
    if remembered is None:
        return _computed_statistics(run, coding)
    try:
        statistics = np.array(remembered.read() or [], np.float32)
    except (TypeError, ValueError):  # other JSON, such as an object or lists of different lengths
        statistics = np.zeros(0, np.float32)
    if statistics.shape == (2, len(run.dataset.classes), 4):
        return statistics[0], statistics[1]
    means, deviations = _computed_statistics(run, coding)
    remembered.write([means.tolist(), deviations.tolist()])
    return means, deviations


def _computed_statistics(run: Run, coding: BoxCoding) -> Statistics:
    images, sampling = run.dataset.images, run.settings.sampling
    read = _Foreground(run.proposals, run.settings)
    groups = map_in_workers(read, in_groups(images), workers_for(images, run.proposals))
    return target_statistics(
        chain.from_iterable(groups),
        len(run.dataset.classes),
        sampling.foreground_iou,
        coding,
        with_flipped=sampling.flip,
    )


@dataclass(frozen=True)
class _Foreground:
    """Reads the candidates of images that statistics need; can be sent to worker processes."""

    proposals: Mapping[str, Proposals]
    settings: TrainSettings

    def __call__(self, records: Sequence[ImageRecord]) -> list[Candidates]:
        return [
            _taken(found, np.flatnonzero(found.iou >= self.settings.sampling.foreground_iou))
            for record in records
            for found in [candidates_of(record, self.proposals, self.settings)]
        ]


def _taken(found: Candidates, rows: NDArray[np.int64]) -> Candidates:
    return Candidates(
        found.boxes[rows],
        found.labels[rows],
        found.matched[rows],
        found.iou[rows],
        found.ignored[rows],
    )


def _remembered(run: Run, coding: BoxCoding) -> Remembered | None:
    """The statistics, by all that they depend on; None without a store."""
    settings, store = run.settings, run.proposals
    if not isinstance(store, ProposalStore):
        return None
    boxes = f"{store.path.resolve()} {proposal_state(store.path)}"
    chosen = (settings.proposals, settings.sampling.foreground_iou, settings.sampling.flip)
    classes = len(run.dataset.classes)
    images = ((r.image_id, annotation_digest(r)) for r in run.dataset.images)
    depends_on = (boxes, chosen, settings.is_weak, coding, classes, *images)
    return Remembered.of("box-statistics", depends_on)


def target_offsets(
    candidates: Candidates, chosen: NDArray[np.int64], coding: BoxCoding = "inclusive"
) -> NDArray[np.float32]:
    """Offsets (C, 4), not normalised, from the chosen candidates to their objects."""
    boxes, matched = candidates.boxes[chosen], candidates.matched[chosen]
    return encode_boxes(torch.from_numpy(boxes), torch.from_numpy(matched), coding).numpy()


def _draw(
    indices: NDArray[np.int64], count: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    if len(indices) <= count:
        return indices
    return generator.choice(indices, count, replace=False)
