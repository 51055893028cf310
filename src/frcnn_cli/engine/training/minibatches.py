"""Mini-batches: images as network input, and RoIs sampled from each (paper, 2.3).

All random choices for an image come from a generator seeded with (seed, epoch, image), so that
neither workers nor a resumed run change them.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from frcnn_cli.engine.distributed.interrupt import stop_signals_blocked
from frcnn_cli.engine.distributed.streams import Streams, to_device
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.network.layers.dropout import ImageRows
from frcnn_cli.engine.network.transforms import batch_images, batch_rois
from frcnn_cli.engine.records import Dataset, GroundTruth, ReadFile
from frcnn_cli.engine.settings import Architecture, Sampling, TrainSettings
from frcnn_cli.engine.training.image_order import (
    Share,
    epoch_shares,
    shares_of_a_minibatch,
    shares_of_process,
)
from frcnn_cli.engine.training.images import TrainingImages
from frcnn_cli.engine.training.workers import Packed, WorkerImages, start_explained, unpacked
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError, InvalidValueError, MisuseError
from frcnn_proposals.wording import counted

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Minibatch:
    """The images and RoIs of one forward pass: a mini-batch, or one share of it.

    images: (N, 3, H, W). rois: (R, 5) in input pixels. labels: (R,). targets: (R, 4), not
    normalised. unreadable: one message per skipped image. rows: one per image, for dropout.
    shares: number of shares in the mini-batch, over all processes. files: what reading
    the files of image_ids showed. candidates: (M, 5), RoIs for the ranker. overlaps: (M,), the
    highest IoU of each. truth: (T, 5), the objects as RoIs, for the second head. truth_labels:
    (T,), -1 for objects that are difficult or crowds. image_labels: (N, K), which replace boxes:
    1 for classes that are present, 0 for absent ones, -1 for those without loss.
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
    candidates: Tensor = field(default_factory=lambda: torch.zeros(0, 5))
    overlaps: Tensor = field(default_factory=lambda: torch.zeros(0))
    truth: Tensor = field(default_factory=lambda: torch.zeros(0, 5))
    truth_labels: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    image_labels: Tensor | None = None

    @property
    def units(self) -> int:
        """What the loss is an average over: RoIs, or with image labels the images with RoIs."""
        if self.image_labels is None:
            return len(self.labels)
        return sum(image.rows > 0 for image in self.rows)

    def tensors(self) -> dict[str, Tensor]:
        """The fields that are tensors, by name."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def to(self, device: torch.device) -> Minibatch:
        """Copy the tensors to `device`."""
        moved: dict[str, Any] = {
            name: to_device(value, device) for name, value in self.tensors().items()
        }
        return replace(self, **moved)


class Minibatches(TorchDataset[Minibatch]):
    """All shares of all mini-batches in order; an item does not depend on those read before.

    shares: number of this process's shares per mini-batch; iteration i has the items from
    i * shares. It is one with hierarchical sampling, where the share is the whole mini-batch.
    team: each process takes its part of every mini-batch's images. Raises MisuseError if the
    number of images does not fit the settings or the team.
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
        self._worker_images = WorkerImages(settings.workers)
        self._images = TrainingImages(proposals, architecture, settings)
        self._classes = len(architecture.classes)
        self._epoch = (0, self._order(0))

    def __len__(self) -> int:
        return self.settings.iterations * self.shares

    def images_at(self, processes: Iterable[int]) -> list[str]:
        """The files that these worker processes prepared last."""
        indices = self._worker_images.last_of(processes)
        return [str(self.dataset.images[index].path) for index in indices]

    def __getitem__(self, index: int) -> Minibatch:
        iteration, number = divmod(index, self.shares)
        epoch, position = divmod(iteration, len(self._epoch[1]))
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self._order(epoch))
        share = shares_of_process(self._epoch[1][position], self.team)[number]
        images, image_ids, unreadable = [], [], []
        for index_of_image in share.images:
            self._worker_images.note(index_of_image)
            record = self.dataset.images[index_of_image]
            try:
                images.append(self._images.prepare(record, share.quota, epoch))
            except InvalidValueError:  # a fault of the program
                raise
            except InputError as error:
                unreadable.append(str(error))
                continue
            image_ids.append(record.image_id)
        samples = [image.sample for image in images]
        factors = [image.factor for image in images]
        labels = [image.labels for image in images]
        return Minibatch(
            images=batch_images([image.image for image in images]),
            rois=batch_rois([s.boxes for s in samples], factors),
            labels=_joined(np.zeros(0, np.int64), *(s.labels for s in samples)),
            targets=_joined(np.zeros((0, 4), np.float32), *(s.targets for s in samples)),
            candidates=batch_rois([image.ranked.boxes for image in images], factors),
            overlaps=_joined(np.zeros(0, np.float32), *(image.ranked.iou for image in images)),
            truth=batch_rois([image.truth.boxes for image in images], factors),
            truth_labels=_joined(np.zeros(0, np.int64), *(_labels(i.truth) for i in images)),
            image_ids=tuple(image_ids),
            unreadable=tuple(unreadable),
            rows=tuple(ImageRows(len(i.sample.labels), i.dropout_seed) for i in images),
            shares=shares_of_a_minibatch(self.settings.sampling),
            files=tuple(each.file for each in images),
            image_labels=_joined(np.zeros((0, self._classes), np.int64), *labels)
            if self.settings.is_weak
            else None,
        )

    def _order(self, epoch: int) -> list[tuple[Share, ...]]:
        return epoch_shares(self.dataset, self.settings.sampling, self.settings.seed, epoch)


def _joined(*parts: NDArray[Any]) -> Tensor:
    """The rows of all parts; the first part is empty and determines the type."""
    return torch.from_numpy(np.concatenate(parts))


def _labels(truth: GroundTruth) -> NDArray[np.int64]:
    """Labels of all objects; -1 for those that are difficult or crowds, which do not train."""
    return np.where(truth.difficult | truth.crowd, -1, truth.labels).astype(np.int64)


def _check_even_shares(sampling: Sampling, team: Team) -> None:
    images = max(sampling.images, shares_of_a_minibatch(sampling))
    if images % team.world:
        name = "images" if sampling.strategy == "hierarchical" else "rois_per_image"
        raise MisuseError(
            f"{counted(team.world, 'process', 'processes')} cannot share "
            f"{counted(images, 'image')} per mini-batch evenly.\n"
            f"Use --set sampling.{name}={team.world}, or start fewer processes."
        )


def minibatch_stream(
    minibatches: Minibatches, start: int, workers: int, device: torch.device = CPU
) -> Generator[Iterator[Minibatch]]:
    """Yield the mini-batches from iteration `start`, each as an iterator over its shares.

    Worker processes prepare them in advance; see on_device for `device`. All shares of a mini-batch
    must be consumed before the next one. Closing the generator ends its workers; otherwise a
    traceback that refers to them would keep them alive, and the exit would wait for them.
    """
    prepared = _shares(minibatches, start * minibatches.shares, workers)
    with closing(prepared), closing(on_device(prepared, device)) as shares:
        for _ in range(start, minibatches.settings.iterations):
            yield islice(shares, minibatches.shares)


def on_device(shares: Iterable[Minibatch], device: torch.device) -> Generator[Minibatch]:
    """Yield the shares on `device`.

    A thread copies the next one to a GPU, in another CUDA stream, while one is processed.
    """
    for share in Streams.of(device, 1).map(lambda share: share.to(device), shares):
        for tensor in share.tensors().values():
            if tensor.is_cuda:
                # The other stream owns its memory, and must not reuse it before this one is done.
                tensor.record_stream(torch.cuda.current_stream(device))
        yield share


def _shares(minibatches: Minibatches, first: int, workers: int) -> Generator[Minibatch]:
    if workers == 0:
        yield from map(minibatches.__getitem__, range(first, len(minibatches)))
        return
    loader = DataLoader(
        Packed(minibatches, workers),
        batch_size=None,
        sampler=range(first, len(minibatches)),
        num_workers=workers,
        worker_init_fn=_set_up_worker,
        prefetch_factor=4,
        generator=torch.Generator(),  # separate, so that it does not advance the global generator
    )
    # A forked process has no OpenCV threads; it would wait forever for them to end.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with stop_signals_blocked(), start_explained(workers):
            batches = iter(loader)
    finally:
        cv2.setNumThreads(threads)
    try:
        yield from map(unpacked, batches)
    except Exception as error:
        # A worker failed. The frames of the traceback refer to the other workers as well.
        traceback.clear_frames(error.__traceback__)
        del batches
        raise


def _set_up_worker(_: int) -> None:
    torch.set_num_threads(1)
    # Errors reach the parent with the batch. Anything else a worker would print is only that the
    # parent has ended.
    sys.excepthook = lambda *_: None
