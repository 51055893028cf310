"""What torch needs to know of the RoI pooling operators beside their kernels.

Shapes without data (fake) for torch.compile and torch.export, the gradient, and autocast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


@torch.library.register_fake("frcnn::roi_pool")
def _roi_pool_fake(
    features: Tensor, rois: Tensor, height: int, width: int, spatial_scale: float
) -> tuple[Tensor, Tensor]:
    shape = (rois.shape[0], features.shape[1], height, width)
    cells = features.shape[2] * features.shape[3]
    cell_type = torch.int16 if cells <= 2**15 else torch.int32  # as in csrc/dispatch.h
    return features.new_empty(shape), features.new_empty(shape, dtype=cell_type)


@torch.library.register_fake("frcnn::roi_pool_infer")
def _roi_pool_infer_fake(
    features: Tensor, rois: Tensor, height: int, width: int, spatial_scale: float
) -> Tensor:
    return features.new_empty((rois.shape[0], features.shape[1], height, width))


@torch.library.register_fake("frcnn::roi_pool_out")
def _roi_pool_out_fake(
    features: Tensor, rois: Tensor, spatial_scale: float, *, out: Tensor
) -> None:
    return None


@torch.library.register_fake("frcnn::roi_pool_backward")
def _roi_pool_backward_fake(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    batch: int,
    channels: int,
    height: int,
    width: int,
    channels_last: bool,
) -> Tensor:
    return torch.empty(
        (batch, channels, height, width),
        dtype=grad_output.dtype,
        device=grad_output.device,
        memory_format=torch.channels_last if channels_last else torch.contiguous_format,
    )


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    features, rois = inputs[:2]
    argmax = output[1]
    ctx.mark_non_differentiable(argmax)
    ctx.set_materialize_grads(False)  # or the backward would be handed zeros for the argmax
    ctx.save_for_backward(rois, argmax)
    ctx.shape = features.shape
    ctx.channels_last = not features.is_contiguous() and features.is_contiguous(
        memory_format=torch.channels_last
    )


def _backward(ctx: Any, grad_output: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    if grad_output is None:
        return None, None, None, None, None
    rois, argmax = ctx.saved_tensors
    gradient = torch.ops.frcnn.roi_pool_backward(
        grad_output, rois, argmax, *ctx.shape, ctx.channels_last
    )
    return gradient, None, None, None, None


def _refuse_double_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    raise RuntimeError("roi_pool has no second derivative: its backward cannot be differentiated")


torch.library.register_autograd("frcnn::roi_pool", _backward, setup_context=_keep_for_backward)
torch.library.register_autograd("frcnn::roi_pool_backward", _refuse_double_backward)


def _autocast_kernel(operator: Any, device: str) -> Callable[..., Any]:
    """Autocast leaves the features in the type they come in, and RoIs in one that holds pixels."""

    def kernel(features: Tensor, rois: Tensor, *arguments: Any, **keywords: Any) -> Any:
        with torch.autocast(device, enabled=False):
            positions = rois if rois.dtype == torch.float64 else rois.float()
            return operator(features, positions, *arguments, **keywords)

    return kernel


_AUTOCAST = torch.library.Library("frcnn", "IMPL")  # type: ignore[no-untyped-call]
for _device in ("CPU", "CUDA"):
    for _name in ("roi_pool", "roi_pool_infer", "roi_pool_out"):
        _kernel = _autocast_kernel(getattr(torch.ops.frcnn, _name).default, _device.lower())
        _AUTOCAST.impl(_name, _kernel, f"Autocast{_device}")  # type: ignore[no-untyped-call]
