"""Invalid arguments: an error message, never a crash."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from frcnn_kernels import roi_pool

FEATURES = torch.zeros(2, 3, 4, 5)
ROIS = torch.tensor([[0, 0, 0, 30, 30.0]])
OUT = torch.zeros(1, 3, 7, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": FEATURES[0]}, "features must be"),
        ({"features": FEATURES.int()}, "floating point"),
        ({"rois": ROIS[0]}, "rois must be"),
        ({"rois": ROIS[:, :4]}, "rois must be"),
        ({"rois": ROIS.half()}, "rois must be float32"),
        ({"rois": ROIS.double()}, "rois must be float32"),
        ({"features": FEATURES.half(), "rois": ROIS.half()}, "rois must be float32"),
        ({"rois": ROIS.to("meta")}, "rois on meta"),
        ({"output_size": 0}, "at least 1"),
        ({"output_size": (7, -1)}, "at least 1"),
        ({"output_size": (7, 7, 7)}, "one or two"),
        ({"spatial_scale": 0.0}, "positive"),
        ({"spatial_scale": float("nan")}, "positive"),
        ({"spatial_scale": float("inf")}, "positive"),
        ({"out": OUT[:, :2]}, "out must be contiguous"),
        ({"out": OUT.transpose(2, 3)}, "out must be contiguous"),
        ({"out": OUT.double()}, "out must be torch.float32"),
        ({"out": OUT, "features": FEATURES.clone().requires_grad_()}, "no_grad"),
    ],
)
def test_the_wrapper_rejects(changes: dict[str, Any], message: str) -> None:
    arguments = {"features": FEATURES, "rois": ROIS, "output_size": 7, "spatial_scale": 1 / 16}
    with pytest.raises(ValueError, match=message):
        roi_pool(**{**arguments, **changes})


@pytest.mark.parametrize(
    "bad",
    [
        (2, 0, 0, 9, 9),
        (-1, 0, 0, 9, 9),
        (0.5, 0, 0, 9, 9),
        (1e30, 0, 0, 9, 9),
        (float("nan"), 0, 0, 9, 9),
        (0, float("nan"), 0, 9, 9),
        (0, 0, 0, float("inf"), 9),
        (0, 0, float("-inf"), 9, 9),
    ],
)
def test_the_operator_rejects_an_invalid_roi_and_names_it(bad: tuple[float, ...]) -> None:
    rois = torch.tensor([ROIS[0].tolist(), bad])
    with pytest.raises(RuntimeError, match="RoI 1"):
        roi_pool(FEATURES, rois, 7, 1 / 16)
    with pytest.raises(RuntimeError, match="RoI 1"):
        roi_pool(FEATURES.clone().requires_grad_(), rois, 7, 1 / 16)
    pooled, argmax = torch.ops.frcnn.roi_pool(FEATURES, ROIS.repeat(2, 1), 7, 7, 1 / 16)
    with pytest.raises(RuntimeError, match="RoI 1"):
        torch.ops.frcnn.roi_pool_backward(pooled, rois, argmax, 2, 3, 4, 5, False)


def test_an_empty_batch_has_no_valid_roi() -> None:
    with pytest.raises(RuntimeError, match="batch of 0"):
        roi_pool(FEATURES[:0], ROIS, 7, 1 / 16)
    assert roi_pool(FEATURES[:0], ROIS[:0], 7, 1 / 16).shape == (0, 3, 7, 7)


def test_the_operators_check_their_arguments() -> None:
    operators = torch.ops.frcnn
    pooled, argmax = operators.roi_pool(FEATURES, ROIS, 7, 7, 1 / 16)
    shape = (*FEATURES.shape, False)
    for call in (
        lambda: operators.roi_pool(FEATURES[0], ROIS, 7, 7, 1.0),
        lambda: operators.roi_pool(FEATURES, ROIS[0], 7, 7, 1.0),
        lambda: operators.roi_pool(FEATURES.int(), ROIS, 7, 7, 1.0),
        lambda: operators.roi_pool(FEATURES, ROIS, -1, 7, 1.0),
        lambda: operators.roi_pool_out(FEATURES, ROIS, 1.0, out=OUT[:, :2]),
        lambda: operators.roi_pool_out(FEATURES, ROIS, 1.0, out=OUT.half()),
        lambda: operators.roi_pool_backward(pooled[:, :2], ROIS, argmax, *shape),
        lambda: operators.roi_pool_backward(pooled, ROIS, argmax.long(), *shape),
        lambda: operators.roi_pool_backward(pooled, ROIS[:0], argmax, *shape),
    ):
        with pytest.raises(RuntimeError, match="roi_pool: "):
            call()


@pytest.mark.parametrize(
    ("cell", "dtype"),
    [(10**9, torch.int32), (-(2**31), torch.int32), (20, torch.int16), (-(2**15), torch.int16)],
)
def test_an_argmax_outside_the_map_writes_nothing(cell: int, dtype: torch.dtype) -> None:
    argmax = torch.full((1, 3, 7, 7), cell, dtype=dtype)
    gradient = torch.ops.frcnn.roi_pool_backward(
        torch.ones(1, 3, 7, 7), ROIS, argmax, *FEATURES.shape, False
    )
    assert gradient.count_nonzero() == 0
    assert gradient.shape == FEATURES.shape


@pytest.mark.long
def test_more_elements_than_32_bits_can_count() -> None:
    features = torch.zeros(1, 1, 1, 1, dtype=torch.bfloat16).expand(1, 2**21 + 64, 1, 1).clone()
    features[0, -1] = 3
    rois = torch.zeros(1, 5).repeat(1025, 1)
    pooled = roi_pool(features, rois, 1, 1.0)
    assert pooled.numel() > 2**31
    assert pooled[-1, -1].item() == 3
    assert pooled[:, :-1].count_nonzero() == 0
