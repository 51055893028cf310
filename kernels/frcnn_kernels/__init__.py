"""Compiled operators of Fast R-CNN.

RoI pooling, non-maximum suppression, selective search, and the weight gradient of depthwise
convolutions. The operators are registered in torch's namespace `frcnn`. Call them through these
functions, which check their arguments.
"""

from frcnn_kernels import _library

_library.load_operators()

from frcnn_kernels._library import cuda_architectures, instruction_set  # noqa: E402
from frcnn_kernels.depthwise import depthwise_weight_gradient  # noqa: E402
from frcnn_kernels.nms import batched_nms, nms  # noqa: E402
from frcnn_kernels.roi_pool import roi_pool, roi_pool_with_argmax  # noqa: E402

__all__ = [
    "batched_nms",
    "cuda_architectures",
    "depthwise_weight_gradient",
    "instruction_set",
    "nms",
    "roi_pool",
    "roi_pool_with_argmax",
]
