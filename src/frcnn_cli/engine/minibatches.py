"""Mini-batches: images as the network takes them, and RoIs sampled from each (paper, 2.3).

Everything random about an image is drawn from a generator of (seed, epoch, image), so that
neither workers nor a resumed run change it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from frcnn_cli.engine.boxes import flip_boxes
from frcnn_cli.engine.image_order import Share, epoch_shares, shares_of_a_minibatch
from frcnn_cli.engine.records import Dataset, GroundTruth, ImageRecord
from frcnn_cli.engine.sampling import Quota, RoiSample, match_candidates, sample_rois
from frcnn_cli.engine.seeds import generator_for
from frcnn_cli.engine.settings import Architecture, Preprocessing, Sampling, TrainSettings
from frcnn_cli.engine.transforms import batch_images, batch_rois, image_tensor
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import read_image


@dataclass(frozen=True)
class Minibatch:
    """What passes through the network together: a mini-batch, or one share of it.

    images: (N, 3, H, W). rois: (R, 5) in input pixels. labels: (R,). targets: (R, 4), raw.
    unreadable: a message for each image that had to be left out of the batch.
    """

    images: Tensor
    rois: Tensor
    labels: Tensor
    targets: Tensor
    image_ids: tuple[str, ...]
    unreadable: tuple[str, ...] = ()

    def to(self, device: torch.device) -> Minibatch:
        """The same on `device`."""
        return Minibatch(
            self.images.to(device, non_blocking=True),
            self.rois.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            self.targets.to(device, non_blocking=True),
            self.image_ids,
            self.unreadable,
        )


class Minibatches(TorchDataset[Minibatch]):
    """All shares of all mini-batches in order, each whatever was read before it.

    shares: of one mini-batch, so that iteration i has items i * shares and on. Hierarchical
    sampling has one, which is the mini-batch. Raises MisuseError where scales, or the number
    of images, do not fit the settings.
    """

    def __init__(
        self,
        dataset: Dataset,
        proposals: Mapping[str, Proposals],
        architecture: Architecture,
        settings: TrainSettings,
    ) -> None:
        self.dataset = dataset
        self.proposals = proposals
        self.architecture = architecture
        self.settings = settings
        self.shares = shares_of_a_minibatch(settings.sampling)
        self._inputs = _preprocessings(architecture.preprocessing, settings.sampling)
        self._epoch = (0, self._order(0))

    def __len__(self) -> int:
        return self.settings.iterations * self.shares

    def __getitem__(self, index: int) -> Minibatch:
        iteration, place = divmod(index, self.shares)
        epoch, position = divmod(iteration, len(self._epoch[1]))
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self._order(epoch))
        share = self._epoch[1][position][place]
        members = [self.dataset.images[image] for image in share.images]
        inputs, factors, samples, image_ids, unreadable = [], [], [], [], []
        for record in members:
            try:
                image, factor, sample = self._prepare(record, share.quota, epoch)
            except InputError as error:
                unreadable.append(str(error))
                continue
            inputs.append(image)
            factors.append(factor)
            samples.append(sample)
            image_ids.append(record.image_id)
        return Minibatch(
            images=batch_images(inputs),
            rois=batch_rois([sample.boxes for sample in samples], factors),
            labels=torch.from_numpy(
                np.concatenate([np.zeros(0, np.int64), *(sample.labels for sample in samples)])
            ),
            targets=torch.from_numpy(
                np.concatenate([np.zeros((0, 4), np.float32), *(s.targets for s in samples)])
            ),
            image_ids=tuple(image_ids),
            unreadable=tuple(unreadable),
        )

    def _order(self, epoch: int) -> list[tuple[Share, ...]]:
        return epoch_shares(self.dataset, self.settings.sampling, self.settings.seed, epoch)

    def _prepare(
        self, record: ImageRecord, quota: Quota, epoch: int
    ) -> tuple[Tensor, float, RoiSample]:
        sampling = self.settings.sampling
        generator = generator_for(self.settings.seed, epoch, record.image_id)
        image = read_image(record.path)
        boxes = self.proposals[record.image_id].top(self.settings.proposals).boxes
        truth = record.truth or GroundTruth()
        if sampling.flip and generator.random() < 0.5:
            image = image[:, ::-1]
            boxes = flip_boxes(boxes, image.shape[1])
            truth = GroundTruth(
                flip_boxes(truth.boxes, image.shape[1]), truth.labels, truth.difficult, truth.crowd
            )
        candidates = match_candidates(boxes, truth, sampling.foreground_iou)
        sample = sample_rois(candidates, quota, sampling, generator, self.architecture.box_coding)
        preprocessing = self._inputs[int(generator.integers(len(self._inputs)))]
        tensor, factor = image_tensor(image, preprocessing)
        return tensor, factor, sample


def _preprocessings(preprocessing: Preprocessing, sampling: Sampling) -> tuple[Preprocessing, ...]:
    """One for each scale that images are seen at in training; max_size caps all of them."""
    if not sampling.scales:
        return (preprocessing,)
    return tuple(replace(preprocessing, scale=scale) for scale in sampling.scales)


def minibatch_stream(
    minibatches: Minibatches, start: int, workers: int
) -> Iterator[Iterator[Minibatch]]:
    """The mini-batches from iteration `start` on, each share by share.

    Worker processes prepare them ahead. A mini-batch must be taken whole before the next.
    """
    shares = _shares(minibatches, start * minibatches.shares, workers)
    for _ in range(start, minibatches.settings.iterations):
        yield islice(shares, minibatches.shares)


def _shares(minibatches: Minibatches, first: int, workers: int) -> Iterator[Minibatch]:
    loader = DataLoader(
        minibatches,
        batch_size=None,
        sampler=range(first, len(minibatches)),
        num_workers=workers,
        worker_init_fn=_be_a_worker if workers else None,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator(),  # its own, so that it draws nothing from the step's
    )
    # Workers start with Ctrl-C and SIGTERM blocked and keep them so: they are the parent's, who
    # ends its workers in order.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        batches = iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    yield from batches


def _be_a_worker(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    # Errors travel to the parent with the batch; what else a worker would print is only that
    # the parent has gone.
    sys.excepthook = lambda *_: None
