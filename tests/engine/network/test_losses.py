"""The multi-task loss, compared with numbers computed by hand."""

import math

import pytest
import torch

from frcnn_cli.engine.network.losses import multi_task_loss, roi_losses, smooth_l1


def test_smooth_l1_on_both_sides_of_one() -> None:
    values = smooth_l1(torch.tensor([0.0, 0.5, -0.5, 1.0, -3.0]))
    assert values.tolist() == [0.0, 0.125, 0.125, 0.5, 2.5]


def test_two_rois_by_hand() -> None:
    # RoI 0 is background, RoI 1 is class 2 of K = 2. Probabilities are uniform: -log(1/3).
    logits = torch.zeros(2, 3)
    offsets = torch.tensor([[9.0] * 8, [9.0, 9, 9, 9, 0.5, 0, -3, 0]])
    targets = torch.tensor([[7.0, 7, 7, 7], [0.0, 0, 0, 0]])
    losses = multi_task_loss(logits, offsets, torch.tensor([0, 2]), targets)
    assert losses.classification.item() == pytest.approx(math.log(3))
    # Only the offsets of RoI 1 for class 2 count, averaged over both RoIs: (0.125 + 2.5) / 2.
    assert losses.box_regression.item() == pytest.approx(1.3125)
    assert losses.total.item() == pytest.approx(math.log(3) + 1.3125)


def test_the_terms_of_each_roi_by_hand() -> None:
    # RoI 0 is class 2, RoI 1 background, RoI 2 class 1, of K = 2.
    logits = torch.tensor([[0.0, 0, math.log(2)], [math.log(6), 0, 0], [0.0, 0, 0]])
    offsets = torch.tensor([[9.0, 9, 9, 9, 1, 2, 3, 4], [9.0] * 8, [0.5, 0, 0, 0, 9, 9, 9, 9]])
    targets = torch.tensor([[1.0, 2, 3.5, 2], [9.0] * 4, [0.0] * 4])
    terms = roi_losses(logits, offsets, torch.tensor([2, 0, 1]), targets)
    assert terms.classification.tolist() == pytest.approx(
        [-math.log(2 / 4), -math.log(6 / 8), -math.log(1 / 3)]
    )
    assert terms.foreground.tolist() == [0, 2]
    assert terms.coordinates.tolist() == [[0, 0, 0.125, 1.5], [0.125, 0, 0, 0]]


def test_background_rois_give_no_gradient_to_boxes() -> None:
    offsets = torch.ones(2, 8, requires_grad=True)
    losses = multi_task_loss(torch.zeros(2, 3), offsets, torch.zeros(2).long(), torch.zeros(2, 4))
    losses.total.backward()
    assert offsets.grad is not None
    assert offsets.grad.abs().sum() == 0


def test_the_gradient_is_that_of_the_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    offsets = torch.randn(5, 12, generator=generator, dtype=torch.float64, requires_grad=True)
    labels, targets = torch.tensor([0, 1, 2, 3, 1]), torch.zeros(5, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda a, b: multi_task_loss(a, b, labels, targets).total, (logits, offsets)
    )


def test_without_rois_the_loss_is_zero_and_has_a_gradient() -> None:
    logits = torch.zeros(0, 3, requires_grad=True)
    losses = multi_task_loss(
        logits, torch.zeros(0, 8), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4)
    )
    losses.total.backward()
    assert losses.total.item() == 0
