"""The order of a run's images, and how many RoIs each one contributes (paper, section 2.3).

Hierarchical sampling passes a few images through the network together and takes many RoIs from
each. RoI-centric sampling, as in R-CNN and SPPnet, takes every RoI from a different image: a
mini-batch of 128 RoIs is 128 images, one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.distributed.team import Team
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.seeds import generator_for
from frcnn_cli.engine.settings import Sampling
from frcnn_cli.engine.training.sampling import Quota
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.wording import counted


@dataclass(frozen=True)
class Share:
    """One share of a mini-batch: images (indices into the dataset) of one forward pass."""

    images: tuple[int, ...]
    quota: Quota


def shares_of_a_minibatch(sampling: Sampling) -> int:
    """The number of shares in a mini-batch: one, or one per RoI."""
    return 1 if sampling.strategy == "hierarchical" else sampling.images * sampling.rois_per_image


def shares_of_process(shares: tuple[Share, ...], team: Team) -> tuple[Share, ...]:
    """This process's part of a mini-batch: some of its shares, or some images of its only share."""
    if len(shares) > 1:
        return team.part(shares)
    return tuple(replace(share, images=team.part(share.images)) for share in shares)


def epoch_shares(
    dataset: Dataset, sampling: Sampling, seed: int, epoch: int
) -> list[tuple[Share, ...]]:
    """The mini-batches of one pass over the images, each as its shares.

    Raises MisuseError if RoI-centric sampling has fewer images than a mini-batch has RoIs.
    """
    if sampling.strategy == "hierarchical":
        foreground = round(sampling.rois_per_image * sampling.foreground_fraction)
        quota = Quota(sampling.rois_per_image, foreground)
        groups = image_groups(dataset, sampling.images, seed, epoch)
        return [(Share(tuple(group), quota),) for group in groups]
    rois = shares_of_a_minibatch(sampling)
    if len(dataset) < rois:
        raise MisuseError(
            f"RoI-centric sampling requires a different image for each of {rois} RoIs; "
            f"{dataset.name} {dataset.split} has {counted(len(dataset), 'image')}.\n"
            "Lower sampling.rois_per_image, or use hierarchical sampling."
        )
    generator = generator_for(seed, epoch, "order")
    order = _in_groups(generator.permutation(len(dataset)), rois)
    # The order is already random, so the first images of a group can be its foreground.
    foreground = round(rois * sampling.foreground_fraction)
    return [
        tuple(
            Share((image,), Quota(1, int(index < foreground))) for index, image in enumerate(group)
        )
        for group in order
    ]


def image_groups(dataset: Dataset, size: int, seed: int, epoch: int) -> list[list[int]]:
    """Every image once, shuffled, in groups of `size`; wide with wide and tall with tall.

    Images of one orientation need less padding. The last group is filled up from the start of
    the epoch, so that every group is full.
    """
    generator = generator_for(seed, epoch, "order")
    order = generator.permutation(len(dataset))
    tall = np.array([(r.height or 0) > (r.width or 0) for r in dataset.images])[order]
    groups = _in_groups(np.concatenate([order[~tall], order[tall]]), size)
    return [groups[index] for index in generator.permutation(len(groups))]


def _in_groups(order: NDArray[np.int64] | Sequence[int], size: int) -> list[list[int]]:
    """Full groups of `size`; the last one is filled up from the start."""
    shortage = -len(order) % size
    filled = np.concatenate([order, np.resize(order, shortage)])
    return [list(map(int, group)) for group in filled.reshape(-1, size)]
