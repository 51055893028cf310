"""RoI pooling: the maximum over each cell of a grid laid on each region of interest.

Girshick, Fast R-CNN, section 2.1. A RoI is projected on the feature map by `spatial_scale` and
rounded half away from zero; its end is inclusive. Cell i of n spans floor(i * h / n) to
ceil((i + 1) * h / n), clipped to the map; an empty cell returns 0 and passes no gradient.

The function comes first, then its registrations: shapes without data (fake) for torch.compile and
torch.export, the gradient, and autocast.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

FEATURE_TYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def roi_pool(
    features: Tensor,
    rois: Tensor,
    output_size: int | tuple[int, int],
    spatial_scale: float,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Pool each region of interest to one size.

    features: (N, C, H, W), float32, float64, bfloat16 or float16, any strides.
    rois: (R, 5), float32 (float64 is allowed with float64 features): the image's index in the
        batch, then x1, y1, x2, y2 in image pixels, corners inclusive.
    output_size: (pooled height, pooled width), or one number for both.
    spatial_scale: feature cells per image pixel, such as 1 / 16.
    out: contiguous memory to write to, (R, C, pooled height, pooled width) in the features' type;
        only for inference, since no gradient passes through it.

    Returns (R, C, pooled height, pooled width), contiguous. The gradient reaches `features` only,
    and only once: differentiating it again raises RuntimeError. It is the same to the bit on every
    run. Raises ValueError for arguments that do not fit, RuntimeError for a RoI that is not finite
    or names an image outside the batch (on a GPU such a RoI returns zeros; it is reported only if
    the environment has FRCNN_DEBUG=1, since the check makes the GPU wait).
    """
    pooled_height, pooled_width = _pair(output_size)
    _check(features, rois, pooled_height, pooled_width, spatial_scale)
    needs_gradient = torch.is_grad_enabled() and features.requires_grad
    if out is not None:
        if needs_gradient:
            raise ValueError("out= keeps no gradient: call under torch.no_grad()")
        _check_out(out, features, rois, pooled_height, pooled_width)
        torch.ops.frcnn.roi_pool_out(features, rois, spatial_scale, out=out)
        return out
    arguments = (features, rois, pooled_height, pooled_width, spatial_scale)
    if needs_gradient:
        pooled: Tensor = torch.ops.frcnn.roi_pool(*arguments)[0]
    else:
        pooled = torch.ops.frcnn.roi_pool_infer(*arguments)
    return pooled


def _pair(output_size: int | tuple[int, int]) -> tuple[int, int]:
    pair = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    if len(pair) != 2:
        raise ValueError(f"output_size must be one or two numbers, not {output_size!r}")
    return pair


def _check(features: Tensor, rois: Tensor, height: int, width: int, spatial_scale: float) -> None:
    if features.ndim != 4:
        raise ValueError(f"features must be (N, C, H, W), not {tuple(features.shape)}")
    if features.dtype not in FEATURE_TYPES:
        raise ValueError(f"features must be floating point, not {features.dtype}")
    if rois.ndim != 2 or rois.shape[1] != 5:
        raise ValueError(f"rois must be (R, 5), not {tuple(rois.shape)}")
    both_double = rois.dtype == features.dtype == torch.float64
    if rois.dtype != torch.float32 and not both_double:
        raise ValueError(f"rois must be float32 for {features.dtype} features, not {rois.dtype}")
    if features.device != rois.device:
        raise ValueError(f"features are on {features.device}, but rois on {rois.device}")
    if height < 1 or width < 1:
        raise ValueError(f"output_size must be at least 1, not {(height, width)}")
    if not (math.isfinite(spatial_scale) and spatial_scale > 0):
        raise ValueError(f"spatial_scale must be positive and finite, not {spatial_scale}")


def _check_out(out: Tensor, features: Tensor, rois: Tensor, height: int, width: int) -> None:
    shape = (rois.shape[0], features.shape[1], height, width)
    if tuple(out.shape) != shape or not out.is_contiguous():
        raise ValueError(f"out must be contiguous {shape}, not {tuple(out.shape)}")
    if out.dtype != features.dtype or out.device != features.device:
        raise ValueError(
            f"out must be {features.dtype} on {features.device}, not {out.dtype} on {out.device}"
        )
    if out.requires_grad:
        raise ValueError("out must not require a gradient")


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
    gradient = None
    if grad_output is not None:
        gradient = torch.ops.frcnn.roi_pool_backward(
            grad_output, *ctx.saved_tensors, *ctx.shape, ctx.channels_last
        )
    return gradient, None, None, None, None


def _reject_double_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    raise RuntimeError("roi_pool has no second derivative: its backward cannot be differentiated")


torch.library.register_autograd("frcnn::roi_pool", _backward, setup_context=_keep_for_backward)
torch.library.register_autograd("frcnn::roi_pool_backward", _reject_double_backward)


def _autocast_kernel(operator: Any, device: str) -> Callable[..., Any]:
    """Kernel that keeps the features' type under autocast, and RoIs in a type that holds pixels."""

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
