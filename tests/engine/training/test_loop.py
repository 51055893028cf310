"""Training: the step, the schedule, and runs that are interrupted and resumed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from frcnn_cli.engine.boxes import iou_matrix
from frcnn_cli.engine.models.store import load_model
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Dataset, GroundTruth
from frcnn_cli.engine.settings import Architecture, Sampling, Schedule, TrainSettings
from frcnn_cli.engine.settings.training import Optimizer
from frcnn_cli.engine.training.loop import resume, train
from frcnn_cli.engine.training.minibatches import Minibatches, minibatch_stream
from frcnn_cli.engine.training.optimizer import make_optimizer
from frcnn_cli.engine.training.run import Run, StepReport
from frcnn_cli.engine.training.step import train_step
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError, MisuseError

CPU = torch.device("cpu")
MakeProposals = Callable[[Dataset], dict[str, Proposals]]


def settings(
    iterations: int,
    every: int = 1000,
    workers: int = 0,
    optimizer: Optimizer = "sgd",
    **more: object,
) -> TrainSettings:
    schedule = Schedule(iterations, optimizer, learning_rate=0.01)
    return TrainSettings(schedule=schedule, workers=workers, checkpoint_every=every, **more)


def model_for(dataset: Dataset) -> FastRCNN:
    torch.manual_seed(0)
    backbone = find_backbone("efficientnet_lite0")
    preprocessing = replace(backbone.preprocessing, scale=64, max_size=100)
    return FastRCNN(Architecture(backbone.name, dataset.classes, (24, 16), preprocessing))


def model_for_classes() -> FastRCNN:
    preprocessing = find_backbone("efficientnet_lite0").preprocessing
    return FastRCNN(Architecture("efficientnet_lite0", ("a", "b"), (24, 16), preprocessing))


@pytest.fixture
def run(tiny_dataset: Dataset, grid_proposals: MakeProposals, run_folder: Path) -> Run:
    proposals = grid_proposals(tiny_dataset)
    return Run(run_folder, tiny_dataset, proposals, settings(8), CPU, {"dataset": "shapes"})


def losses_of(folder: Path) -> dict[int, float]:
    """The losses by iteration; the last value counts for a repeated iteration."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return {item["iteration"]: item["loss"] for item in map(json.loads, lines)}


def test_a_step_is_sgd_with_the_papers_loss(run: Run) -> None:
    model = model_for(run.dataset).train()
    model.dropout = 0.0
    minibatch = Minibatches(run.dataset, run.proposals, model.architecture, run.settings)[0]
    # Biases that are not zero, and a decay that has a visible effect in one step.
    with torch.no_grad():
        for name, value in model.named_parameters():
            value += 0.1 * name.endswith("bias")
    optimizer = make_optimizer(model, replace(run.settings.schedule, weight_decay=0.5))
    before = {name: value.clone() for name, value in model.named_parameters()}
    train_step(model, [minibatch], optimizer, rate=0.01)
    for name, value in model.named_parameters():
        if value.grad is None:
            assert torch.equal(value, before[name]), f"{name} is frozen"
            continue
        is_bias = name.endswith("bias")
        rate, decay = (0.02, 0.0) if is_bias else (0.01, 0.5)
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
    later = [next(shares) for shares in minibatch_stream(minibatches, start=5, workers=2)]
    assert len(later) == 4
    assert torch.equal(later[2].images, minibatches[7].images)
    assert torch.equal(later[2].rois, minibatches[7].rois)


def test_flipping_moves_pixels_and_boxes_together(run: Run) -> None:
    """Each RoI of a mirrored image, mirrored back, is one of the unmirrored candidates."""
    architecture = model_for(run.dataset).architecture
    flipped, plain = (
        Minibatches(run.dataset, run.proposals, architecture, settings(5, sampling=sampling))[0]
        for sampling in (Sampling(rois_per_image=4000), Sampling(rois_per_image=4000, flip=False))
    )
    was_flipped = [not torch.equal(flipped.images[i], plain.images[i]) for i in range(2)]
    assert any(was_flipped)
    for index in range(2):
        factor = 64 / 96  # images of 128 x 96, their shorter side scaled to 64
        boxes = flipped.rois[flipped.rois[:, 0] == index, 1:] / factor
        known = {
            tuple(box)
            for box in (plain.rois[plain.rois[:, 0] == index, 1:] / factor).round().tolist()
        }
        if was_flipped[index]:
            mirrored = flipped.images[index].flip(2)
            assert torch.allclose(mirrored, plain.images[index], atol=0.2)
            boxes = torch.stack((127 - boxes[:, 2], boxes[:, 1], 127 - boxes[:, 0], boxes[:, 3]), 1)
        assert {tuple(box) for box in boxes.round().tolist()} == known


def test_targets_are_normalised_in_the_loss(run: Run) -> None:
    """The box loss of a network with zero outputs is that of (target - mean) / deviation."""
    model = model_for(run.dataset).train()
    torch.nn.init.zeros_(model.box.weight)
    torch.nn.init.zeros_(model.box.bias)
    model.offset_means.fill_(0.3)
    model.offset_deviations.fill_(0.25)
    batch = Minibatches(run.dataset, run.proposals, model.architecture, run.settings)[0]
    losses = train_step(model, [batch], make_optimizer(model, run.settings.schedule), rate=0.01)
    learned = (batch.targets[batch.labels > 0] - 0.3) / 0.25
    size = learned.abs()
    expected = torch.where(size < 1, 0.5 * learned**2, size - 0.5).sum() / len(batch.labels)
    assert losses.box_regression.item() == pytest.approx(expected.item(), rel=1e-4)


def test_training_computes_the_target_statistics(run: Run) -> None:
    model = model_for(run.dataset)
    trained = train(model, replace(run, settings=settings(1)))
    stored = load_model(trained.path)[0]
    assert stored.offset_means[:, 0].abs().max() == 0  # mirror images included
    assert (stored.offset_deviations[:, :2] < 0.3).all()
    assert not torch.equal(stored.offset_deviations, torch.ones_like(stored.offset_deviations))


def test_each_image_learns_its_own_objects(run: Run) -> None:
    """Every foreground RoI overlaps an object of its image and class."""
    minibatches = Minibatches(
        run.dataset, run.proposals, model_for(run.dataset).architecture,
        settings(5, sampling=Sampling(flip=False)),
    )  # fmt: skip
    records = {record.image_id: record for record in run.dataset.images}
    for iteration in range(4):
        batch = minibatches[iteration]
        for index, image_id in enumerate(batch.image_ids):
            rows = (batch.rois[:, 0] == index) & (batch.labels > 0)
            assert set(batch.labels[rows].tolist()) <= set(records[image_id].truth.labels.tolist())
            boxes = (batch.rois[rows, 1:] * 96 / 64).numpy()
            assert (iou_matrix(boxes, records[image_id].truth.boxes).max(axis=1) > 0.45).all()


def test_dropout_is_active_only_in_training() -> None:
    model = model_for_classes()
    pooled = torch.randn(4, 128, 7, 7, generator=torch.Generator().manual_seed(0))
    model.train()
    assert not torch.equal(model.head(pooled).logits, model.head(pooled).logits)
    model.eval()
    assert torch.equal(model.head(pooled).logits, model.head(pooled).logits)


def test_splits_without_annotation_are_rejected(run: Run) -> None:
    images = tuple(replace(record, truth=None) for record in run.dataset.images)
    unannotated = replace(run, dataset=replace(run.dataset, images=images))
    with pytest.raises(MisuseError, match="no annotation"):
        train(model_for(run.dataset), unannotated)


def test_no_readable_image_is_an_error(run: Run, tmp_path: Path) -> None:
    images = tuple(replace(record, path=tmp_path / "gone.jpg") for record in run.dataset.images)
    with pytest.raises(InputError, match="none of its images can be read"):
        train(model_for(run.dataset), replace(run, dataset=replace(run.dataset, images=images)))


def test_the_loss_falls(run: Run) -> None:
    losses: list[float] = []
    chosen = replace(run, settings=settings(40))
    train(model_for(run.dataset), chosen, lambda step: losses.append(step.loss))
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:5])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_resumed_run_ends_with_the_same_weights(
    run: Run, tmp_path: Path, optimizer: Optimizer
) -> None:
    class Stopped(Exception):
        pass

    def stop(step: StepReport) -> None:
        if step.iteration == 5:
            raise Stopped

    chosen = replace(run, settings=settings(8, every=3, optimizer=optimizer))
    with pytest.raises(Stopped):
        train(model_for(run.dataset), chosen, stop)
    resumed = resume(chosen, lambda step: None)
    other = tmp_path / "uninterrupted"
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


def test_an_unreadable_image_does_not_stop_the_run(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not an image")
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


def test_the_cosine_schedule_by_hand() -> None:
    schedule = Schedule(iterations=100, learning_rate=0.01, decay="cosine", warmup=10)
    rates = [schedule.rate_at(i) for i in (0, 25, 50, 75, 100)]
    # Half a cosine from 1 to 0.01: 0.505 + 0.495 cos(pi x), at first times a tenth.
    expected = [0.1, 0.505 + 0.495 * 0.5**0.5, 0.505, 0.505 - 0.495 * 0.5**0.5, 0.01]
    assert rates == pytest.approx([0.01 * value for value in expected])


def test_adamws_first_step_by_hand(run: Run) -> None:
    """At the first step every weight moves by the rate, whatever the size of its gradient.

    Weights also shrink by rate x decay. Biases move twice as far and do not shrink.
    """
    model = model_for(run.dataset).train()
    minibatch = Minibatches(run.dataset, run.proposals, model.architecture, run.settings)[0]
    schedule = Schedule(5, "adamw", learning_rate=0.01, weight_decay=0.5)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    train_step(model, [minibatch], make_optimizer(model, schedule), rate=0.01)
    for name, rate in (("score.weight", 0.01), ("score.bias", 0.02)):
        parameter = model.get_parameter(name)
        decay = 0.5 if name.endswith("weight") else 0.0
        assert parameter.grad is not None
        large = parameter.grad.abs() > 1e-4
        expected = before[name] * (1 - rate * decay) - rate * parameter.grad.sign()
        assert large.any()
        assert torch.allclose(parameter[large], expected[large], atol=1e-5)
