"""What is cached between epochs, and dropout per image."""

from collections.abc import Callable
from dataclasses import replace
from multiprocessing import active_children

import cv2
import numpy as np
import pytest
import torch

from frcnn_cli.engine.distributed.team import Team
from frcnn_cli.engine.network.backbones.defaults import CAFFE_PIXELS
from frcnn_cli.engine.network.layers.dropout import ImageRows, RowDropout
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import (
    Architecture,
    Preprocessing,
    Sampling,
    Schedule,
    TrainSettings,
)
from frcnn_cli.engine.training import images as training_images
from frcnn_cli.engine.training.images import Cache, TrainingImages
from frcnn_cli.engine.training.minibatches import Minibatches, minibatch_stream
from frcnn_cli.engine.training.sampling import Quota
from frcnn_proposals.base import Proposals
from frcnn_proposals.images import read_image

MakeProposals = Callable[[Dataset], dict[str, Proposals]]
CPU = torch.device("cpu")


def architecture_for(dataset: Dataset) -> Architecture:
    preprocessing = Preprocessing(scale=64, max_size=100)
    return Architecture("efficientnet_lite0", dataset.classes, (24, 16), preprocessing)


def test_an_image_is_read_once_and_prepared_identically(
    tiny_dataset: Dataset, grid_proposals: MakeProposals, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    read_image_bytes = training_images.read_image_bytes
    monkeypatch.setattr(
        training_images,
        "read_image_bytes",
        lambda path: reads.append(path) or read_image_bytes(path),
    )
    given = (grid_proposals(tiny_dataset), architecture_for(tiny_dataset), TrainSettings())
    caching, uncached = TrainingImages(*given), TrainingImages(*given, cache_bytes=0)
    for epoch in range(3):
        for record in tiny_dataset.images[:2]:
            cached, fresh = (
                images.prepare(record, Quota(64, 16), epoch) for images in (caching, uncached)
            )
            assert torch.equal(cached.image, fresh.image)
            assert (cached.sample.boxes == fresh.sample.boxes).all()
            assert (cached.sample.targets == fresh.sample.targets).all()
            assert cached.dropout_seed == fresh.dropout_seed
    assert len(reads) == 2 + 6


def test_images_are_mirrored_before_they_are_resized_in_float32(
    tiny_dataset: Dataset, grid_proposals: MakeProposals
) -> None:
    """As in the first implementation, at each of several scales, with one image in the cache."""
    base = replace(CAFFE_PIXELS, scale=61, max_size=120)
    architecture = Architecture("caffenet", tiny_dataset.classes, (8, 8), base)
    sampling = Sampling(scales=(61, 87))
    images = TrainingImages(
        grid_proposals(tiny_dataset), architecture, TrainSettings(sampling=sampling)
    )
    record, seen = tiny_dataset.images[0], set()
    original = read_image(record.path)[..., ::-1].astype(np.float32) - np.float32(base.mean)
    before = images._cache.left
    for epoch in range(12):
        prepared = images.prepare(record, Quota(4, 1), epoch)
        for mirrored in (False, True):
            expected = cv2.resize(
                original[:, ::-1] if mirrored else original,
                None, fx=prepared.factor, fy=prepared.factor, interpolation=cv2.INTER_LINEAR,
            )  # fmt: skip
            if np.array_equal(prepared.image.permute(1, 2, 0).numpy(), expected):
                seen.add((round(prepared.factor * 96), mirrored))
    assert seen == {(61, False), (61, True), (87, False), (87, True)}
    assert before - images._cache.left < 2 * 96 * 128 * 3  # with its overlaps


def test_a_full_cache_replaces_nothing() -> None:
    cache = Cache(limit_bytes=10)
    first = cache.get("a", lambda: memoryview(b"12345678"))
    assert cache.get("b", lambda: memoryview(b"1234")) == b"1234"
    assert cache.get("b", lambda: memoryview(b"5678")) == b"5678"
    assert cache.get("a", lambda: memoryview(b"")) is first


def test_dropout_of_an_image_does_not_depend_on_other_images() -> None:
    x = torch.rand(7, 50) + 1
    together = RowDropout([ImageRows(3, 11), ImageRows(4, 12)], CPU)
    first, second = RowDropout([ImageRows(3, 11)], CPU), RowDropout([ImageRows(4, 12)], CPU)
    for _ in range(2):  # two layers with different masks
        joint = together(x, 0.5)
        assert torch.equal(joint[:3], first(x[:3], 0.5))
        assert torch.equal(joint[3:], second(x[3:], 0.5))
    assert 0.3 < (joint == 0).float().mean() < 0.7
    assert torch.equal(joint[joint != 0], 2 * x[joint != 0])


def test_every_epoch_has_different_dropout(
    tiny_dataset: Dataset, grid_proposals: MakeProposals
) -> None:
    images = TrainingImages(
        grid_proposals(tiny_dataset), architecture_for(tiny_dataset), TrainSettings()
    )
    records = tiny_dataset.images[:3]
    seeds = {images.prepare(r, Quota(4, 1), e).dropout_seed for r in records for e in range(3)}
    assert len(seeds) == 9


def test_the_parts_of_a_team_make_up_the_minibatch(
    tiny_dataset: Dataset, grid_proposals: MakeProposals
) -> None:
    given = (
        tiny_dataset,
        grid_proposals(tiny_dataset),
        architecture_for(tiny_dataset),
        TrainSettings(),
    )
    whole = Minibatches(*given)[1]
    parts = [Minibatches(*given, Team(rank, 2))[1] for rank in (0, 1)]
    assert whole.image_ids == parts[0].image_ids + parts[1].image_ids
    assert torch.equal(whole.labels, torch.cat([part.labels for part in parts]))
    assert whole.rows == parts[0].rows + parts[1].rows


def test_workers_start_after_opencv_has_used_its_threads(
    tiny_dataset: Dataset, grid_proposals: MakeProposals
) -> None:
    """A process forked afterwards must not try to end them."""
    cv2.setNumThreads(2)
    cv2.resize(np.zeros((2000, 2000, 3), np.uint8), (1500, 1500))
    architecture = architecture_for(tiny_dataset)
    minibatches = Minibatches(
        tiny_dataset, grid_proposals(tiny_dataset), architecture, TrainSettings(workers=1)
    )
    stream = minibatch_stream(minibatches, 0, workers=1)
    (batch,) = next(stream)
    assert len(batch.image_ids) == 2
    assert cv2.getNumThreads() == 2


def test_closing_a_stream_ends_its_workers(
    tiny_dataset: Dataset, grid_proposals: MakeProposals
) -> None:
    """Even while a reference to one of its mini-batches exists, as in the traceback of an error."""
    settings = TrainSettings(schedule=Schedule(iterations=100))
    minibatches = Minibatches(
        tiny_dataset, grid_proposals(tiny_dataset), architecture_for(tiny_dataset), settings
    )
    before = set(active_children())
    stream = minibatch_stream(minibatches, 0, workers=1)
    held = next(stream)
    next(held)
    assert len(set(active_children()) - before) == 1
    stream.close()
    assert set(active_children()) <= before
    assert list(held) == []


def test_a_failed_worker_leaves_no_other(tiny_dataset: Dataset) -> None:
    """Not even while the error is held: the exit of the process would wait for them forever."""
    settings = TrainSettings(schedule=Schedule(iterations=100))
    minibatches = Minibatches(tiny_dataset, {}, architecture_for(tiny_dataset), settings)
    before = set(active_children())
    stream = minibatch_stream(minibatches, 0, workers=2)
    with pytest.raises(KeyError) as held:
        list(next(stream))
    assert set(active_children()) <= before, held
