"""Training: the step, the schedule, and runs that are stopped and go on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from frcnn_cli.engine.backbones import find_backbone
from frcnn_cli.engine.minibatches import Minibatches, image_groups, minibatch_stream
from frcnn_cli.engine.model import FastRCNN
from frcnn_cli.engine.models import load_model
from frcnn_cli.engine.records import Dataset, GroundTruth
from frcnn_cli.engine.settings import Architecture, Sampling, Schedule, TrainSettings
from frcnn_cli.engine.train import Run, StepReport, make_optimizer, resume, train, train_step
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError

CPU = torch.device("cpu")
MakeProposals = Callable[[Dataset], dict[str, Proposals]]


def settings(iterations: int, every: int = 1000, workers: int = 0, **more: object) -> TrainSettings:
    schedule = Schedule(iterations, learning_rate=0.01)
    return TrainSettings(schedule=schedule, workers=workers, checkpoint_every=every, **more)


def model_for(dataset: Dataset) -> FastRCNN:
    torch.manual_seed(0)
    backbone = find_backbone("efficientnet_lite0")
    preprocessing = replace(backbone.preprocessing, scale=64, max_size=100)
    return FastRCNN(Architecture(backbone.name, dataset.classes, (24, 16), preprocessing))


@pytest.fixture
def run(tiny_dataset: Dataset, grid_proposals: MakeProposals, run_folder: Path) -> Run:
    proposals = grid_proposals(tiny_dataset)
    return Run(run_folder, tiny_dataset, proposals, settings(8), CPU, {"dataset": "shapes"})


def losses_of(folder: Path) -> dict[int, float]:
    """By iteration; where one was done twice, the last time counts."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return {item["iteration"]: item["loss"] for item in map(json.loads, lines)}


def test_a_step_is_sgd_with_the_papers_loss(run: Run) -> None:
    model = model_for(run.dataset).train()
    model.dropout = 0.0
    minibatch = Minibatches(run.dataset, run.proposals, model.architecture, run.settings)[0]
    optimizer = make_optimizer(model, run.settings.schedule)
    before = {name: value.clone() for name, value in model.named_parameters()}
    train_step(model, minibatch, optimizer, rate=0.01)
    for name, value in model.named_parameters():
        if value.grad is None:
            assert torch.equal(value, before[name]), f"{name} is frozen"
            continue
        is_bias = name.endswith("bias")
        rate, decay = (0.02, 0.0) if is_bias else (0.01, 0.0005)
        if name.startswith("features.stages"):
            rate *= 0.1
        expected = before[name] - rate * (value.grad + decay * before[name])
        assert torch.allclose(value, expected, atol=1e-6), name


def test_a_minibatch_is_two_images_and_their_rois(run: Run) -> None:
    batch = Minibatches(
        run.dataset, run.proposals, model_for(run.dataset).architecture, settings(4)
    )[1]
    assert batch.images.shape[0] == len(batch.image_ids) == 2
    for index in (0, 1):
        of_image = batch.labels[batch.rois[:, 0] == index]
        assert len(of_image) <= 64
        assert (of_image > 0).sum() <= 16
    assert batch.rois[:, 1:].max() <= 100


def test_minibatches_do_not_depend_on_workers_or_on_what_was_read_before(run: Run) -> None:
    minibatches = Minibatches(
        run.dataset, run.proposals, model_for(run.dataset).architecture, settings(9)
    )
    later = list(minibatch_stream(minibatches, start=5, workers=2))
    assert len(later) == 4
    assert torch.equal(later[2].images, minibatches[7].images)
    assert torch.equal(later[2].rois, minibatches[7].rois)


def test_an_epoch_has_every_image_and_pairs_shapes(tiny_dataset: Dataset) -> None:
    images = tuple(
        replace(record, height=200 if i % 2 else 50) for i, record in enumerate(tiny_dataset.images)
    )
    dataset = replace(tiny_dataset, images=images[:8])
    groups = image_groups(dataset, 2, seed=0, epoch=3)
    assert sorted(index for group in groups for index in group) == list(range(8))
    assert all(first % 2 == second % 2 for first, second in groups)
    assert groups != image_groups(dataset, 2, seed=0, epoch=4)


def test_flipping_moves_pixels_and_boxes_alike(run: Run) -> None:
    architecture = model_for(run.dataset).architecture
    flipped = unflipped = 0
    for flip in (True, False):
        chosen = settings(40, sampling=Sampling(flip=flip))
        batch = Minibatches(run.dataset, run.proposals, architecture, chosen)[0]
        if flip:
            with_flip = batch
        else:
            without = batch
    for index in range(2):
        same = torch.equal(with_flip.images[index], without.images[index])
        mirrored = torch.allclose(with_flip.images[index].flip(2), without.images[index], atol=0.2)
        flipped, unflipped = flipped + mirrored, unflipped + same
    assert flipped + unflipped == 2


def test_the_loss_falls(run: Run) -> None:
    losses: list[float] = []
    chosen = replace(run, settings=settings(40))
    train(model_for(run.dataset), chosen, lambda step: losses.append(step.loss))
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:5])


def test_a_stopped_run_goes_on_to_the_same_weights(run: Run, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(step: StepReport) -> None:
        if step.iteration == 5:
            raise Stopped

    chosen = replace(run, settings=settings(8, every=3))
    with pytest.raises(Stopped):
        train(model_for(run.dataset), chosen, stop)
    resumed = resume(chosen, lambda step: None)
    other = tmp_path / "undisturbed"
    other.mkdir()
    whole = train(model_for(run.dataset), replace(chosen, folder=other), lambda step: None)
    first, second = (load_model(item.path)[0].state_dict() for item in (resumed, whole))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert losses_of(run.folder) == losses_of(other)


def test_a_loss_that_is_not_finite_names_the_images(run: Run) -> None:
    model = model_for(run.dataset)
    with torch.no_grad():
        model.score.bias.fill_(float("nan"))
    with pytest.raises(InputError, match=r"not finite for the images \w+"):
        train(model, run, lambda step: None)


def test_images_without_objects_train_as_background(run: Run) -> None:
    images = tuple(replace(record, truth=GroundTruth()) for record in run.dataset.images)
    chosen = replace(run, dataset=replace(run.dataset, images=images), settings=settings(3))
    losses: list[StepReport] = []
    train(model_for(run.dataset), chosen, losses.append)
    assert all(step.box_regression == 0 and step.classification > 0 for step in losses)


def test_an_unreadable_image_does_not_stop_the_rest(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a picture")
    first, *others = run.dataset.images
    images = (replace(first, path=bad), *others)
    chosen = replace(run, dataset=replace(run.dataset, images=images), settings=settings(12))
    trained = train(model_for(run.dataset), chosen, lambda step: None)
    assert len(trained.unreadable) == 1
    assert "bad.jpg" in trained.unreadable[0]


def test_the_schedule_by_hand() -> None:
    schedule = Schedule(iterations=100, learning_rate=0.01, step_at=0.75, warmup=10)
    rates = [schedule.rate_at(i) for i in (0, 5, 10, 74, 75, 99)]
    assert rates == pytest.approx([0.001, 0.0055, 0.01, 0.01, 0.001, 0.001])
