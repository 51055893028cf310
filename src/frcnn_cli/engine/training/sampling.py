"""Sampling of an image's RoIs for a mini-batch, with labels and target offsets (paper, 2.3).

Processes that only match proposals to objects start without torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.boxes import BoxCoding, best_overlaps, encode_boxes, overlapping
from frcnn_cli.engine.records import GroundTruth, ImageRecord
from frcnn_cli.engine.settings import Sampling, TrainSettings
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import ran_out_of_memory, reason


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


def foreground_candidates(
    proposals: NDArray[np.float32],
    objects: NDArray[np.float32],
    classes: NDArray[np.int64],
    foreground_iou: float,
) -> Candidates:
    """The foreground of match_candidates, for `objects` (M, 4) of `classes` (M,).

    Difficult and crowd objects are not given: they make no RoI foreground.
    """
    boxes = np.concatenate([objects, proposals])
    rows, best, iou = overlapping(boxes, objects, foreground_iou)
    return Candidates(boxes[rows], classes[best], objects[best], iou, np.zeros(len(rows), bool))


def candidates_of(
    record: ImageRecord, proposals: Mapping[str, Proposals], settings: TrainSettings
) -> Candidates:
    """The RoIs of an image that a run samples from; with image labels, its proposals alone."""
    truth = GroundTruth() if settings.is_weak or record.truth is None else record.truth
    with memory_names(record.path):
        boxes = proposals[record.image_id].top(settings.proposals).boxes
        return match_candidates(boxes, truth, settings.sampling.foreground_iou)


@contextmanager
def memory_names(path: str | Path) -> Iterator[None]:
    """If the block runs out of memory, raise MemoryError with the path in its message."""
    try:
        yield
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        raise MemoryError(f"{path}: {reason(error)}") from error


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


def target_offsets(
    candidates: Candidates, chosen: NDArray[np.int64], coding: BoxCoding = "inclusive"
) -> NDArray[np.float32]:
    """Offsets (C, 4), not normalised, from the chosen candidates to their objects."""
    import torch

    boxes, matched = candidates.boxes[chosen], candidates.matched[chosen]
    return encode_boxes(torch.from_numpy(boxes), torch.from_numpy(matched), coding).numpy()


def _draw(
    indices: NDArray[np.int64], count: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    if len(indices) <= count:
        return indices
    return generator.choice(indices, count, replace=False)
