"""Mini-batches of hierarchical sampling: N images, then RoIs from each (paper, 2.3).

Everything random about an image is drawn from a generator of (seed, epoch, image), so that
neither workers nor a resumed run change it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from frcnn_cli.engine.boxes import flip_boxes
from frcnn_cli.engine.records import Dataset, GroundTruth, ImageRecord
from frcnn_cli.engine.sampling import RoiSample, match_candidates, sample_rois
from frcnn_cli.engine.seeds import generator_for
from frcnn_cli.engine.settings import Architecture, TrainSettings
from frcnn_cli.engine.transforms import batch_images, batch_rois, image_tensor
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import read_image


@dataclass(frozen=True)
class Minibatch:
    """images: (N, 3, H, W). rois: (R, 5) in input pixels. labels: (R,). targets: (R, 4), raw.

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
    """Item i is the mini-batch of iteration i, whatever was read before it."""

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
        self._epoch: tuple[int, list[list[int]]] | None = None

    def __len__(self) -> int:
        return self.settings.schedule.iterations

    def __getitem__(self, iteration: int) -> Minibatch:
        groups = -(-len(self.dataset) // self.settings.sampling.images)
        epoch, position = divmod(iteration, groups)
        members = [self.dataset.images[index] for index in self._groups(epoch)[position]]
        inputs, factors, samples, image_ids, unreadable = [], [], [], [], []
        for record in members:
            try:
                image, factor, sample = self._prepare(record, epoch)
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

    def _prepare(self, record: ImageRecord, epoch: int) -> tuple[Tensor, float, RoiSample]:
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
        sample = sample_rois(candidates, sampling, generator, self.architecture.box_coding)
        tensor, factor = image_tensor(image, self.architecture.preprocessing)
        return tensor, factor, sample

    def _groups(self, epoch: int) -> list[list[int]]:
        if self._epoch is None or self._epoch[0] != epoch:
            order = image_groups(
                self.dataset, self.settings.sampling.images, self.settings.seed, epoch
            )
            self._epoch = (epoch, order)
        return self._epoch[1]


def image_groups(dataset: Dataset, size: int, seed: int, epoch: int) -> list[list[int]]:
    """Every image once, shuffled, in groups of `size`; wide with wide and tall with tall.

    Images of one orientation waste no padding on one another. The last group is filled up
    from the start of the epoch, so that every group is full.
    """
    generator = generator_for(seed, epoch, "order")
    order = generator.permutation(len(dataset))
    tall = np.array([(r.height or 0) > (r.width or 0) for r in dataset.images])[order]
    by_shape = np.concatenate([order[~tall], order[tall]])
    shortage = -len(order) % size
    by_shape = np.concatenate([by_shape, np.resize(by_shape, shortage)])
    groups = by_shape.reshape(-1, size)
    return [list(map(int, group)) for group in generator.permutation(groups)]


def minibatch_stream(minibatches: Minibatches, start: int, workers: int) -> Iterator[Minibatch]:
    """The mini-batches from iteration `start` on, prepared ahead by worker processes."""
    loader = DataLoader(
        minibatches,
        batch_size=None,
        sampler=range(start, len(minibatches)),
        num_workers=workers,
        worker_init_fn=_be_a_worker if workers else None,
        prefetch_factor=4 if workers else None,
    )
    # Workers start with Ctrl-C blocked and keep it so: it is the parent's, who ends them in order.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
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
