"""Compiled operators of Fast R-CNN: RoI pooling, non-maximum suppression, and what trains slowly.

They live in torch's operator namespace `frcnn`; the functions here check their arguments and are
the way to call them.
"""

from frcnn_kernels import _library

_library.load_operators()

from frcnn_kernels._library import cuda_architectures  # noqa: E402
from frcnn_kernels.depthwise import depthwise_weight_gradient  # noqa: E402
from frcnn_kernels.nms import batched_nms, nms  # noqa: E402
from frcnn_kernels.roi_pool import roi_pool  # noqa: E402

__all__ = ["batched_nms", "cuda_architectures", "depthwise_weight_gradient", "nms", "roi_pool"]
