"""RoI pooling: the maximum over each bin of a grid on each region of interest.

Girshick, Fast R-CNN, section 2.1. The corners of a RoI are multiplied by `spatial_scale` and
rounded to cells of the feature map, half away from zero; the last cell is included. A RoI of
h cells, divided into n bins, has the bin size s = h / n. Bin i covers the cells from floor(i * s)
up to, not including, ceil((i + 1) * s), clipped to the map. An empty bin returns 0 and passes no
gradient.

Positions and s are computed in the type of the RoIs, usually float32, as in Caffe and torchvision.
Rounding in float32 can make a bin one cell longer at either end than exact arithmetic would: this
happens in 458 of the 16,000 combinations of 1 to 40 bins and 1 to 400 cells. With 7 bins, the first
such length is 57: the last bin covers cells 48 to 57 instead of 48 to 56, so it includes the cell
after the RoI.

`roi_pool` comes first, then the registrations with torch: shapes without data (fake) for
torch.compile and torch.export, the gradient, and autocast.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

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
        batch, then x1, y1, x2, y2 in image pixels, corners inclusive. Under autocast, float16 and
        bfloat16 are converted to float32.
    output_size: (pooled height, pooled width), or one number for both.
    spatial_scale: feature cells per image pixel, such as 1 / 16.
    out: contiguous tensor to write to, (R, C, pooled height, pooled width) in the features' type;
        for inference only, because no gradient passes through it.

    Returns (R, C, pooled height, pooled width), contiguous.

    Only `features` get a gradient; it is bit-identical in every run. A second derivative raises
    RuntimeError, and forward-mode differentiation raises NotImplementedError.

    Raises ValueError for invalid arguments, and RuntimeError for a RoI that is not finite or whose
    image index is outside the batch. On a GPU such a RoI returns zeros instead, because the check
    would make the GPU wait; set FRCNN_DEBUG=1 in the environment to enable the check there.
    """
    pooled_height, pooled_width = _pair(output_size)
    rois = _widened_under_autocast(rois)
    _check(features, rois, pooled_height, pooled_width, spatial_scale)
    _reject_forward_mode(features)
    needs_gradient = torch.is_grad_enabled() and features.requires_grad
    if out is not None:
        if needs_gradient:
            raise ValueError("no gradient passes through out=: call roi_pool under torch.no_grad()")
        _check_out(out, features, rois, pooled_height, pooled_width)
        torch.ops.frcnn.roi_pool_out(features, rois, spatial_scale, out=out)
        return out
    arguments = (features, rois, pooled_height, pooled_width, spatial_scale)
    if needs_gradient:
        pooled: Tensor = torch.ops.frcnn.roi_pool(*arguments)[0]
    else:
        pooled = torch.ops.frcnn.roi_pool_infer(*arguments)
    return pooled


def roi_pool_with_argmax(
    features: Tensor, rois: Tensor, output_size: int | tuple[int, int], spatial_scale: float
) -> tuple[Tensor, Tensor]:
    """What `roi_pool` returns, and the cell of each maximum, which receives its gradient.

    Arguments and errors are those of `roi_pool`. Returns pooled values and cells, both
    (R, C, pooled height, pooled width). A cell is row * W + column of the map, or -1 for an empty
    bin; int16 if this type can number all cells, else int32.
    """
    height, width = _pair(output_size)
    rois = _widened_under_autocast(rois)
    _check(features, rois, height, width, spatial_scale)
    _reject_forward_mode(features)
    pooled, argmax = torch.ops.frcnn.roi_pool(features, rois, height, width, spatial_scale)
    return pooled, argmax


def _pair(output_size: int | tuple[int, int]) -> tuple[int, int]:
    pair = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    if len(pair) != 2:
        raise ValueError(f"output_size must be one or two numbers, not {output_size!r}")
    return pair


def _widened_under_autocast(rois: Tensor) -> Tensor:
    """float32 RoIs for 16-bit ones where autocast is on, as torchvision does."""
    device = rois.device.type
    # Not is_autocast_available, which torch.compile of torch 2.10 cannot trace.
    if rois.dtype not in (torch.float16, torch.bfloat16) or device not in ("cpu", "cuda"):
        return rois
    return rois.float() if torch.is_autocast_enabled(device) else rois


def _reject_forward_mode(features: Tensor) -> None:
    # Without this check, torch would drop the tangent without an error and return zeros.
    if unpack_dual(features).tangent is not None:  # type: ignore[no-untyped-call]
        raise NotImplementedError(
            "roi_pool does not support forward-mode differentiation (jvp, jacfwd); "
            "use reverse mode (backward, torch.autograd.grad)"
        )


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
    return features.new_empty(shape), features.new_empty(shape, dtype=_cell_type(features))


def _cell_type(features: Tensor) -> torch.dtype:
    """The type of the argmax, as in csrc/dispatch.h.

    Comparing sizes would limit an exported program to maps on one side of the limit. So while
    exporting, sizes that are not known count as large. This is safe, because nothing but the
    backward reads the argmax, and it accepts both types.
    """
    is_small = features.shape[2] * features.shape[3] <= 2**15
    if torch.compiler.is_exporting():
        from torch.fx.experimental.symbolic_shapes import statically_known_true

        is_small = statically_known_true(is_small)
    return torch.int16 if is_small else torch.int32


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
    ctx.set_materialize_grads(False)  # otherwise torch would create zeros for the argmax
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
    raise RuntimeError("roi_pool has no second derivative: its gradient cannot be differentiated")


torch.library.register_autograd("frcnn::roi_pool", _backward, setup_context=_keep_for_backward)
torch.library.register_autograd("frcnn::roi_pool_backward", _reject_double_backward)


def _autocast_kernel(operator: Any, device: str) -> Callable[..., Any]:
    """Kernel for autocast: the features keep their type, and RoIs are at least float32."""

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
