"""Losses and scores of training from image labels, compared with loops written from the papers."""

from __future__ import annotations

import literal_weak
import numpy as np
import pytest
import torch
from torch import Tensor

from frcnn_cli.engine.network.layers.weak_head import split_logits, voted_scores, weak_scores
from frcnn_cli.engine.settings import WeakSettings
from frcnn_cli.engine.training.weak.losses import refined_targets, refinement_loss, weak_loss

CLASSES, ROIS = 4, 9
OICR = WeakSettings()  # as in the paper


def logits_for(seed: int, refinements: int, spread: float = 1.0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    width = 2 * CLASSES + refinements * (CLASSES + 1)
    return spread * torch.randn(ROIS, width, generator=draw, dtype=torch.float64)


def rois_for(seed: int) -> Tensor:
    """Boxes near each other, so that some overlap by more than one half."""
    corners = np.random.default_rng(seed).integers(0, 30, (ROIS, 2))
    boxes = np.concatenate([corners, corners + 40], axis=1)
    return torch.from_numpy(np.concatenate([np.zeros((ROIS, 1)), boxes], axis=1))


def literal(logits: Tensor, rois: Tensor, labels: list[int]) -> tuple[float, float]:
    parts = split_logits(logits, CLASSES)
    streams = parts.recognition.tolist(), parts.detection.tolist()
    refined = [matrix.tolist() for matrix in parts.refined]
    boxes = rois[:, 1:].tolist()
    return (
        literal_weak.image_loss(*streams, labels),
        literal_weak.oicr_loss(*streams, refined, boxes, labels),
    )


@pytest.mark.parametrize("refinements", [0, 1, 3])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("labels", [[1, 0, 0, 0], [1, 0, 1, 1], [0, -1, 1, 0], [0, 0, 0, 0]])
def test_the_losses_are_those_of_the_papers(refinements: int, seed: int, labels: list[int]) -> None:
    logits, rois = logits_for(seed, refinements), rois_for(seed)
    losses = weak_loss(logits, rois, torch.tensor([labels]), OICR)
    image, refinement = literal(logits, rois, labels)
    assert losses.classification.item() == pytest.approx(image, rel=1e-9)
    assert losses.refinement.item() == pytest.approx(refinement, rel=1e-9, abs=1e-12)
    assert losses.total.item() == pytest.approx(image + refinement, rel=1e-9)
    assert losses.box_regression.item() == 0


def test_the_loss_is_the_mean_over_the_images_that_have_rois() -> None:
    logits, rois = logits_for(3, 3), rois_for(3)
    rois[4:, 0] = 2  # none in image 1
    labels = [[1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1]]
    losses = weak_loss(logits, rois, torch.tensor(labels), OICR)
    parts = [literal(logits[:4], rois[:4], labels[0]), literal(logits[4:], rois[4:], labels[2])]
    images, refinements = zip(*parts, strict=True)
    assert losses.classification.item() == pytest.approx(sum(images) / 2)
    assert losses.refinement.item() == pytest.approx(sum(refinements) / 2)


def test_without_rois_the_loss_is_zero_and_has_a_gradient() -> None:
    logits = torch.zeros(0, 2 * CLASSES, requires_grad=True)
    losses = weak_loss(logits, torch.zeros(0, 5), torch.ones(1, CLASSES), OICR)
    losses.total.backward()
    assert (losses.total.item(), logits.grad is not None) == (0, True)


@pytest.mark.parametrize("spread", [100.0, 10_000.0])
def test_losses_and_gradients_of_extreme_outputs_are_finite(spread: float) -> None:
    logits = logits_for(0, 3, spread).float().requires_grad_()
    losses = weak_loss(logits, rois_for(0).float(), torch.tensor([[1, 0, 0, 1]]), OICR)
    losses.total.backward()
    assert losses.total.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_labels_and_weights_by_hand() -> None:
    """RoIs 0 and 3 are the best of classes 1 and 3; class 2 is absent."""
    scores = torch.tensor([[0.7, 0.9, 0.1], [0.3, 0.0, 0.0], [0.2, 0.9, 0.3], [0.1, 0.0, 0.4]])
    boxes = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 5], [0, 0, 9, 4], [20, 0, 29, 9]])
    targets, weights = refined_targets(scores, boxes, torch.tensor([1, 0, 1]), 0.5)
    # IoU 1, 0.6 and 0.5 with RoI 0: exactly one half is not enough.
    assert targets.tolist() == [1, 1, 0, 3]
    assert weights.tolist() == pytest.approx([0.7, 0.7, 0.7, 0.4])


def test_a_roi_supervises_one_class() -> None:
    """RoI 0 is the best of both classes: the second is left with RoI 2, and its score."""
    scores = torch.tensor([[0.7, 0.9], [0.3, 0.2], [0.2, 0.5]])
    boxes = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 5], [20, 0, 29, 9]])
    targets, weights = refined_targets(scores, boxes, torch.tensor([1, 1]), 0.5)
    assert targets.tolist() == [1, 1, 2]
    assert weights.tolist() == pytest.approx([0.7, 0.7, 0.5])


def test_more_classes_than_rois_have_no_weight_left() -> None:
    targets, weights = refined_targets(
        torch.tensor([[0.7, 0.9]]), torch.tensor([[0.0, 0, 9, 9]]), torch.tensor([1, 1]), 0.5
    )
    assert (targets.tolist(), weights.tolist()) == ([1], pytest.approx([0.7]))


# IoU 0.5 of the first with the second and third; the second and third touch; the fourth is apart.
VOTERS = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 4], [0, 5, 9, 9], [20, 0, 29, 9]])


def test_votes_by_hand() -> None:
    """In class 1, two halves of an object have the highest score, and the whole has the votes."""
    scores = torch.tensor([[0.04, 0.0, 0.0], [0.16, 0.0, 0.09], [0.16, 0.0, 0.0], [0.09, 0.0, 0.0]])
    votes = [0.2 + 0.5 * 0.4 + 0.5 * 0.4, 0.4 + 0.5 * 0.2, 0.4 + 0.5 * 0.2, 0.3]
    expected = torch.zeros(4, 3)
    expected[:, 0] = 0.16 / 0.6 * torch.tensor(votes)
    expected[:2, 2] = 0.09 * torch.tensor([0.5, 1])
    torch.testing.assert_close(voted_scores(scores, VOTERS), expected)
    nothing = torch.tensor([[0.0, 0, -1, -1]])
    with_nothing = voted_scores(torch.cat([scores, torch.ones(1, 3)]), torch.cat([VOTERS, nothing]))
    torch.testing.assert_close(with_nothing, torch.cat([expected, torch.zeros(1, 3)]))
    assert voted_scores(torch.zeros(0, 3), torch.zeros(0, 4)).shape == (0, 3)
    assert not voted_scores(torch.zeros(4, 3), VOTERS).any()


def test_votes_of_many_rois_are_counted_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    scores, corners = torch.rand(50, 3, generator=draw), 90 * torch.rand(50, 2, generator=draw)
    rois = torch.cat([corners, corners + 30], dim=1)
    whole = voted_scores(scores, rois)
    monkeypatch.setattr("frcnn_cli.engine.boxes._ELEMENTS_AT_ONCE", 7 * 50)
    torch.testing.assert_close(voted_scores(scores, rois), whole)


def test_votes_select_the_roi_that_supervises_and_keep_the_weight() -> None:
    """The first RoI is best only by votes; its class then has the RoIs that overlap it by half."""
    scores = torch.tensor([[0.04], [0.16], [0.16], [0.09]])
    present = torch.tensor([1])
    targets, weights = refined_targets(voted_scores(scores, VOTERS), VOTERS, present, 0.45)
    assert targets.tolist() == [1, 1, 1, 0]
    assert weights.tolist() == pytest.approx([0.16] * 4)
    assert refined_targets(scores, VOTERS, present, 0.45)[0].tolist() == [1, 1, 0, 0]


def test_votes_change_the_scores_that_supervise_the_first_refinement() -> None:
    logits, rois, labels = logits_for(5, 2), rois_for(5), torch.tensor([[1, 0, 1, 0]])
    (first, second), boxes = split_logits(logits, CLASSES).refined, rois[:, 1:]
    wsddn = weak_scores(logits[:, : 2 * CLASSES], CLASSES)[:, 1:]
    expected = refinement_loss(first, voted_scores(wsddn, boxes), boxes, labels[0], 0.5)
    expected += refinement_loss(second, first.softmax(dim=1)[:, 1:], boxes, labels[0], 0.5)
    found = weak_loss(logits, rois, labels, WeakSettings(voting=True)).refinement
    assert found.item() == pytest.approx(expected.item(), rel=1e-9)
    assert found.item() != pytest.approx(weak_loss(logits, rois, labels, OICR).refinement.item())


def test_rois_vote_at_test_time_with_the_scores_of_wsddn_only() -> None:
    boxes = rois_for(6)[:, 1:]
    plain, voted = (weak_scores(logits_for(6, 0), CLASSES, voters) for voters in (None, boxes))
    assert torch.equal(voted[:, 0], plain[:, 0])
    assert torch.equal(voted[:, 1:], voted_scores(plain[:, 1:], boxes))
    refined = logits_for(6, 3)
    assert torch.equal(weak_scores(refined, CLASSES, boxes), weak_scores(refined, CLASSES))


def test_an_image_without_labels_does_not_refine() -> None:
    scores, boxes = torch.rand(5, 3), rois_for(0)[:5, 1:]
    targets, weights = refined_targets(scores, boxes, torch.tensor([0, -1, 0]), 0.5)
    assert (targets.tolist(), weights.tolist()) == ([0] * 5, [0.0] * 5)


@pytest.mark.parametrize("seed", range(4))
def test_test_scores_are_those_of_the_papers(seed: int) -> None:
    wsddn, oicr = logits_for(seed, 0), logits_for(seed, 3)
    parts = split_logits(wsddn, CLASSES)
    expected = literal_weak.scores(parts.recognition.tolist(), parts.detection.tolist())
    found = weak_scores(wsddn, CLASSES)
    assert found[:, 0].tolist() == [0] * ROIS
    np.testing.assert_allclose(found[:, 1:], expected, rtol=1e-9)
    refined = [matrix.tolist() for matrix in split_logits(oicr, CLASSES).refined]
    np.testing.assert_allclose(
        weak_scores(oicr, CLASSES), literal_weak.mean_scores(refined), rtol=1e-9
    )
