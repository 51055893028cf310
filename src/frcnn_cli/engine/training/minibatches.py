"""Mini-batches: images as the network takes them, and RoIs sampled from each (paper, 2.3).

Everything random about an image is drawn from a generator of (seed, epoch, image), so that
neither workers nor a resumed run change it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.network.layers.dropout import ImageRows
from frcnn_cli.engine.network.transforms import batch_images, batch_rois
from frcnn_cli.engine.records import Dataset, ReadFile
from frcnn_cli.engine.settings import Architecture, Sampling, TrainSettings
from frcnn_cli.engine.training.image_order import (
    Share,
    epoch_shares,
    shares_of_a_minibatch,
    shares_of_process,
)
from frcnn_cli.engine.training.images import TrainingImages
from frcnn_cli.engine.training.workers import WorkerImages
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError, MisuseError


@dataclass(frozen=True)
class Minibatch:
    """What passes through the network together: a mini-batch, or one share of it.

    images: (N, 3, H, W). rois: (R, 5) in input pixels. labels: (R,). targets: (R, 4), raw.
    unreadable: a message for each image that was skipped. rows: of each image, for dropout.
    shares: number of shares that its mini-batch is split into, over all processes. files: what
    reading the files of image_ids showed.
    """

    images: Tensor
    rois: Tensor
    labels: Tensor
    targets: Tensor
    image_ids: tuple[str, ...]
    unreadable: tuple[str, ...] = ()
    rows: tuple[ImageRows, ...] = ()
    shares: int = 1
    files: tuple[ReadFile, ...] = ()

    def to(self, device: torch.device) -> Minibatch:
        """The same on `device`."""
        tensors = {name: getattr(self, name) for name in ("images", "rois", "labels", "targets")}
        moved = {name: value.to(device, non_blocking=True) for name, value in tensors.items()}
        return replace(self, **moved)


class Minibatches(TorchDataset[Minibatch]):
    """All shares of all mini-batches in order, each whatever was read before it.

    shares: this process's of one mini-batch, so that iteration i has items i * shares and on.
    Hierarchical sampling has one, which is the mini-batch. team: of each mini-batch this process
    has its part of the images. Raises MisuseError where the number of images does not fit the
    settings or the team.
    """

    def __init__(
        self,
        dataset: Dataset,
        proposals: Mapping[str, Proposals],
        architecture: Architecture,
        settings: TrainSettings,
        team: Team = ALONE,
    ) -> None:
        self.dataset = dataset
        _check_even_shares(settings.sampling, team)
        self.settings = settings
        self.team = team
        self.shares = max(1, shares_of_a_minibatch(settings.sampling) // team.world)
        self._at_work = WorkerImages(settings.workers)
        self._images = TrainingImages(proposals, architecture, settings)
        self._epoch = (0, self._order(0))

    def __len__(self) -> int:
        return self.settings.iterations * self.shares

    def images_at(self, processes: Iterable[int]) -> list[str]:
        """The files that these worker processes prepared last."""
        return [str(self.dataset.images[image].path) for image in self._at_work.last_of(processes)]

    def __getitem__(self, index: int) -> Minibatch:
        iteration, number = divmod(index, self.shares)
        epoch, position = divmod(iteration, len(self._epoch[1]))
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self._order(epoch))
        share = shares_of_process(self._epoch[1][position], self.team)[number]
        images, image_ids, unreadable = [], [], []
        for image in share.images:
            self._at_work.note(image)
            record = self.dataset.images[image]
            try:
                images.append(self._images.prepare(record, share.quota, epoch))
            except InputError as error:
                unreadable.append(str(error))
                continue
            image_ids.append(record.image_id)
        samples = [each.sample for each in images]
        return Minibatch(
            images=batch_images([each.image for each in images]),
            rois=batch_rois([each.boxes for each in samples], [each.factor for each in images]),
            labels=torch.from_numpy(
                np.concatenate([np.zeros(0, np.int64), *(each.labels for each in samples)])
            ),
            targets=torch.from_numpy(
                np.concatenate([np.zeros((0, 4), np.float32), *(s.targets for s in samples)])
            ),
            image_ids=tuple(image_ids),
            unreadable=tuple(unreadable),
            rows=tuple(ImageRows(len(each.sample.labels), each.dropout_seed) for each in images),
            shares=shares_of_a_minibatch(self.settings.sampling),
            files=tuple(each.file for each in images),
        )

    def _order(self, epoch: int) -> list[tuple[Share, ...]]:
        return epoch_shares(self.dataset, self.settings.sampling, self.settings.seed, epoch)


def _check_even_shares(sampling: Sampling, team: Team) -> None:
    images = max(sampling.images, shares_of_a_minibatch(sampling))
    if images % team.world:
        name = "images" if sampling.strategy == "hierarchical" else "rois_per_image"
        raise MisuseError(
            f"{team.world} processes cannot share {images} images a mini-batch evenly.\n"
            f"Give --set sampling.{name}={team.world}, or start fewer processes."
        )


def minibatch_stream(
    minibatches: Minibatches, start: int, workers: int
) -> Generator[Iterator[Minibatch]]:
    """The mini-batches from iteration `start` on, each share by share.

    Worker processes prepare them ahead. A mini-batch must be taken whole before the next.
    Closed, it ends its workers: those that an error's traceback kept would be waited for.
    """
    with closing(_shares(minibatches, start * minibatches.shares, workers)) as shares:
        for _ in range(start, minibatches.settings.iterations):
            yield islice(shares, minibatches.shares)


def _shares(minibatches: Minibatches, first: int, workers: int) -> Generator[Minibatch]:
    loader = DataLoader(
        minibatches,
        batch_size=None,
        sampler=range(first, len(minibatches)),
        num_workers=workers,
        worker_init_fn=_be_a_worker if workers else None,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator(),  # its own, so that it draws nothing from the step's
    )
    # A forked process that ends OpenCV's threads waits for ever: they stayed with its parent.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    # Workers start with Ctrl-C and SIGTERM blocked and keep them so: they are the parent's, who
    # ends its workers in order.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        batches = iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        cv2.setNumThreads(threads)
    yield from batches


def _be_a_worker(_: int) -> None:
    torch.set_num_threads(1)
    # Errors travel to the parent with the batch; what else a worker would print is only that
    # the parent has gone.
    sys.excepthook = lambda *_: None
