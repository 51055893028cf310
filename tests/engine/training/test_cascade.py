"""Training of the second head and the ranker, with values worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import equal, measured, new_model, settings, weights
from torch import Tensor

from frcnn_cli.engine.network.losses import LossWeights, multi_task_loss, objectness_loss
from frcnn_cli.engine.network.model import FastRCNN, Refined
from frcnn_cli.engine.records import Dataset, GroundTruth
from frcnn_cli.engine.settings import Sampling, TrainSettings
from frcnn_cli.engine.training.cascade import refined_loss, refined_targets
from frcnn_cli.engine.training.images import TrainingImages
from frcnn_cli.engine.training.loop import resume, train
from frcnn_cli.engine.training.minibatches import Minibatch, Minibatches
from frcnn_cli.engine.training.optimizer import make_optimizer
from frcnn_cli.engine.training.run import Run
from frcnn_cli.engine.training.sampling import Quota, match_candidates, sample_ranked
from frcnn_cli.engine.training.stages import stages
from frcnn_cli.engine.training.step import train_step
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError

MakeProposals = Callable[[Dataset], dict[str, Proposals]]
BOTH = {"cascade_iou": 0.6, "ranked_rois": 40}


@pytest.fixture
def run(tiny_dataset: Dataset, grid_proposals: MakeProposals, run_folder: Path) -> Run:
    proposals = grid_proposals(tiny_dataset)
    return Run(run_folder, tiny_dataset, proposals, settings(6, 1000, **BOTH))


def model_with_both(dataset: Dataset) -> FastRCNN:
    return new_model(dataset, cascade=True, ranker=True)


# Two images: an object of class 2, one of class 1 and a difficult one in the first; none in the
# second.
TRUTH = torch.tensor([[0, 0.0, 0, 9, 9], [0, 40, 0, 59, 19], [0, 80, 0, 89, 9]])
SHARE = Minibatch(
    *(torch.zeros(0) for _ in range(4)), (), truth=TRUTH, truth_labels=torch.tensor([2, 1, -1])
)
ROIS = torch.tensor(
    [
        [0, 0.0, 0, 9, 7],  # IoU 0.8 with the first object
        [0, 0, 0, 9, 5],  # 0.6
        [0, 0, 0, 9, 4],  # 0.5: background
        [0, 40, 0, 59, 19],  # 1.0 with the second
        [0, 80, 0, 89, 7],  # 0.8 with the difficult one
        [0, 80, 0, 89, 4],  # 0.5
        [1, 0, 0, 9, 9],  # of the image without objects
    ]
)


def test_refined_rois_are_matched_again_at_the_higher_iou() -> None:
    labels, targets = refined_targets(ROIS, SHARE, 0.6, "inclusive")
    assert labels.tolist() == [2, 2, 0, 1, -1, 0, 0]
    # From 10 x 8 around (5, 4) to 10 x 10 around (5, 5).
    assert targets[0].tolist() == pytest.approx([0, 1 / 8, 0, math.log(10 / 8)])
    assert targets[3].tolist() == [0, 0, 0, 0]
    assert refined_targets(ROIS, SHARE, 0.5, "inclusive")[0].tolist() == [2, 2, 2, 1, -1, -1, 0]


def test_without_objects_all_rois_are_background() -> None:
    empty = replace(SHARE, truth=TRUTH[:0], truth_labels=torch.zeros(0, dtype=torch.int64))
    assert refined_targets(ROIS, empty, 0.6, "inclusive")[0].tolist() == [0] * 7


def test_the_second_heads_loss_by_hand(run: Run) -> None:
    """Averaged over all RoIs, of which the one on a difficult object has no loss.

    Boxes have the given weight times 2.
    """
    model = model_with_both(run.dataset)
    assert model.second is not None
    count = len(run.dataset.classes)
    model.second.offset_deviations[:] = torch.tensor([0.05, 0.05, 0.1, 0.1])
    logits, offsets = torch.zeros(7, count + 1), torch.zeros(7, 4 * count)
    losses = refined_loss(model, Refined(ROIS, logits, offsets), SHARE, 0.6, LossWeights(1.0, 3.0))
    # RoI 0: offsets (0, 1/8, 0, log 5/4), RoI 1, 10 x 6: (0, 1/3, 0, log 5/3); RoI 3: none.
    boxes = [1 / 8 / 0.05, math.log(5 / 4) / 0.1, 1 / 3 / 0.05, math.log(5 / 3) / 0.1]
    assert all(value > 1 for value in boxes)  # so that smooth L1 is |x| - 0.5
    regression = (2 / 6 / 0.05 - 0.5) + sum(value - 0.5 for value in boxes) - (1 / 3 / 0.05 - 0.5)
    classification = 6 * math.log(count + 1)
    assert losses.classification.item() == pytest.approx(classification / 7)
    assert losses.box_regression.item() == pytest.approx(regression / 7)
    assert losses.total.item() == pytest.approx((classification + 2 * 3 * regression) / 7)


def test_all_classes_share_the_second_heads_box(run: Run) -> None:
    """So the few RoIs of each class train it together."""
    second = model_with_both(run.dataset).second
    assert second is not None
    logits, offsets = second.head(torch.rand(3, second.fc6.in_features))
    of_classes = offsets.view(3, len(run.dataset.classes), 4)
    assert torch.equal(of_classes, of_classes[:, :1].expand_as(of_classes))
    assert second.box.out_features == 4
    assert logits.unique().numel() == logits.numel()


def test_the_rankers_loss_by_hand() -> None:
    logits, overlaps = torch.tensor([0.0, 2.0]), torch.tensor([0.3, 0.75])
    probability = 1 / (1 + math.exp(-2))
    expected = math.log(2) - 0.75 * math.log(probability) - 0.25 * math.log(1 - probability)
    assert objectness_loss(logits, overlaps).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [(Sampling(), 64 / 256), (Sampling(strategy="roi-centric"), 1 / 256)],
)
def test_an_images_candidates_weigh_as_much_as_its_rois(
    sampling: Sampling, expected: float
) -> None:
    (stage,) = stages(TrainSettings(sampling=sampling, ranked_rois=256))
    assert stage.weights.objectness == expected
    assert stages(TrainSettings(sampling=sampling))[0].weights.objectness == 0


def test_the_total_is_the_sum_of_all_parts(run: Run) -> None:
    model = model_with_both(run.dataset).train()
    model.dropout = 0.0
    assert model.second is not None
    model.second.dropout = 0.0
    share = Minibatches(run.dataset, run.proposals, model.architecture, run.settings)[0]
    outputs = model(share.images, share.rois, None, share.candidates)
    weights_ = LossWeights(1.0, 1.0, 0.5)
    first = multi_task_loss(
        outputs.logits, outputs.offsets, share.labels, model.normalise(share.targets, share.labels)
    )
    second = refined_loss(model, outputs.refined, share, 0.6, weights_)
    ranking = objectness_loss(outputs.objectness, share.overlaps) / len(share.labels)
    optimizer = make_optimizer(model, run.settings.schedule)
    losses = train_step(model, [share], optimizer, rate=0.0, weights=weights_, cascade_iou=0.6)
    assert losses is not None
    assert losses.total.item() == pytest.approx(
        (first.total + second.total + 0.5 * ranking).item(), rel=1e-5
    )
    assert losses.classification.item() == pytest.approx(
        (first.classification + second.classification).item(), rel=1e-5
    )


def test_gradients_do_not_depend_on_the_shares_of_a_minibatch(run: Run) -> None:
    """Also if shares have different numbers of RoIs, as the processes of a team may have."""
    small = model_with_both(run.dataset)
    whole = Minibatches(run.dataset, run.proposals, small.architecture, run.settings)[0]
    first = whole.rois[:, 0] == 0
    few, many = torch.nonzero(first).flatten()[:7], torch.nonzero(~first).flatten()
    chosen = torch.cat([few, many])
    joined = replace(
        whole, rois=whole.rois[chosen], labels=whole.labels[chosen], targets=whole.targets[chosen],
        rows=(),
    )  # fmt: skip

    def of_image(table: Tensor, index: int) -> Tensor:
        rows = table[table[:, 0] == index].clone()
        rows[:, 0] = 0
        return rows

    def share(index: int, rows: Tensor) -> Minibatch:
        rois = whole.rois[rows].clone()
        rois[:, 0] = 0
        return replace(
            whole, images=whole.images[index : index + 1], rois=rois, labels=whole.labels[rows],
            targets=whole.targets[rows], rows=(), shares=2,
            candidates=of_image(whole.candidates, index),
            overlaps=whole.overlaps[whole.candidates[:, 0] == index],
            truth=of_image(whole.truth, index),
            truth_labels=whole.truth_labels[whole.truth[:, 0] == index],
        )  # fmt: skip

    gradients = []
    for shares in ([joined], [share(0, few), share(1, many)]):
        model = model_with_both(run.dataset).train()
        for head in model.heads:
            head.dropout = 0.0
        optimizer = make_optimizer(model, run.settings.schedule)
        train_step(model, shares, optimizer, rate=0.0, weights=LossWeights(1.0, 1.0, 0.25))
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert any(name.startswith("ranker.") for name in gradients[0])
    assert any(name.startswith("second.") for name in gradients[0])
    for name, gradient in gradients[0].items():
        size = float(gradient.abs().max())
        assert torch.allclose(gradient, gradients[1][name], atol=2e-3 * size), name


def test_a_share_without_rois_has_gradients_of_zero_in_every_part(run: Run) -> None:
    """A process that could read none of its images takes part in the averaging."""
    model = model_with_both(run.dataset).train()
    share = Minibatches(run.dataset, run.proposals, model.architecture, run.settings)[0]
    none = {name: getattr(share, name)[:0] for name in ("rois", "labels", "targets")}
    none |= {n: getattr(share, n)[:0] for n in ("candidates", "overlaps", "truth", "truth_labels")}
    outputs = model(share.images, none["rois"], None, none["candidates"])
    assert outputs.objectness.shape == (0,)
    assert refined_loss(
        model, outputs.refined, replace(share, **none), 0.6, LossWeights()
    ).total.requires_grad
    assert objectness_loss(outputs.objectness, none["overlaps"]).requires_grad


def test_the_rankers_rois_are_drawn_after_all_others(run: Run) -> None:
    """So a run without a ranker has the same draws as before there was one."""
    architecture = model_with_both(run.dataset).architecture
    for record in run.dataset.images[:4]:
        plain, ranked = (
            TrainingImages(run.proposals, architecture, TrainSettings(ranked_rois=count)).prepare(
                record, Quota(64, 16), epoch=1
            )
            for count in (0, 40)
        )
        assert torch.equal(plain.image, ranked.image)
        assert np.array_equal(plain.sample.boxes, ranked.sample.boxes)
        assert plain.dropout_seed == ranked.dropout_seed
        assert (len(plain.ranked.boxes), len(ranked.ranked.boxes)) == (0, 40)


def test_the_ranker_draws_from_all_rois_that_are_not_ignored() -> None:
    truth = GroundTruth(
        np.array([[0, 0, 9, 9], [50, 0, 59, 9]], np.float32), np.array([1, 1]),
        np.array([False, True]),
    )  # fmt: skip
    boxes = np.array([[0, 0, 9, 4], [50, 0, 59, 8], [100, 0, 109, 9]], np.float32)
    sample = sample_ranked(match_candidates(boxes, truth, 0.5), 9, np.random.default_rng(0))
    assert sample.boxes.tolist() == [[0, 0, 9, 9], [0, 0, 9, 4], [100, 0, 109, 9]]
    assert sample.iou.tolist() == [1, 0.5, 0]


def test_flipping_moves_objects_and_candidates_too(run: Run) -> None:
    """The candidates with an IoU of 1 are objects, in mirrored images too."""
    every = replace(run.settings, ranked_rois=1000)
    architecture = model_with_both(run.dataset).architecture
    images = Minibatches(run.dataset, run.proposals, architecture, every)
    for index in range(6):
        share = images[index]
        exact = torch.nonzero(share.overlaps == 1).flatten()
        assert len(exact)
        for row in exact.tolist():
            same = (share.truth - share.candidates[row]).abs().sum(dim=1)
            assert float(same.min()) < 1e-3


def test_a_run_with_both_learns_and_resumes_exactly(run: Run, tmp_path: Path) -> None:
    whole = train(model_with_both(run.dataset), run).path
    steps = measured(run.folder)
    other = replace(run, folder=tmp_path / "other", settings=settings(6, 2, **BOTH))

    def stop(step: object) -> None:
        if getattr(step, "iteration", 0) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(model_with_both(run.dataset), other, stop)
    assert equal(weights(whole), weights(resume(other).path))
    assert len(steps) == 6
    initial, final = model_with_both(run.dataset).state_dict(), weights(whole)
    for name in ("second.fc6.weight", "second.box.weight", "ranker.hidden.weight"):
        assert not torch.equal(initial[name], final[name]), name
    assert final["second.offset_deviations"][0].tolist() == pytest.approx([0.05, 0.05, 0.1, 0.1])


@pytest.mark.parametrize(
    "change",
    [{"box_training": "stagewise"}, {"box_training": "none"}, {"classifier": "svm"}],
)
def test_a_second_head_requires_multi_task_training_and_a_softmax(change: dict[str, str]) -> None:
    with pytest.raises(MisuseError, match="second head of the cascade requires"):
        TrainSettings(cascade_iou=0.6, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-0.1, 1.0, math.nan])
def test_an_iou_out_of_range_is_rejected(value: float) -> None:
    with pytest.raises(MisuseError, match="cascade_iou is"):
        TrainSettings(cascade_iou=value)
