"""RoI pooling: the maximum over each cell of a grid laid on each region of interest.

Girshick, Fast R-CNN, section 2.1. A RoI is projected on the feature map by `spatial_scale`,
rounded half away from zero, its end inclusive; cell i of n spans floor(i * h / n) to
ceil((i + 1) * h / n), clipped to the map; an empty one gives 0 and passes no gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from frcnn_kernels import roi_pool_registrations as _  # noqa: F401  (fake, autograd, autocast)

FEATURE_TYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def roi_pool(
    features: Tensor,
    rois: Tensor,
    output_size: int | tuple[int, int],
    spatial_scale: float,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Pools each region of interest to one size.

    features: (N, C, H, W), float32, float64, bfloat16 or float16, any strides.
    rois: (R, 5), float32 (float64 may go with float64 features): the image's index in the batch,
        then x1, y1, x2, y2 in image pixels, corners inclusive.
    output_size: (pooled height, pooled width), or one number for both.
    spatial_scale: feature cells per image pixel, such as 1 / 16.
    out: contiguous memory to write to, (R, C, pooled height, pooled width) in the features' type;
        for inference alone, since no gradient passes through it.

    Returns (R, C, pooled height, pooled width), contiguous. The gradient reaches `features` only,
    and only once: differentiating it again raises RuntimeError. It is the same to the bit on every
    run. Raises ValueError for arguments that do not fit, RuntimeError for a RoI that is not finite
    or names an image outside the batch (on a GPU such a RoI gives zeros, and is reported only
    where the environment has FRCNN_DEBUG=1, since looking would hold up the GPU).
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
