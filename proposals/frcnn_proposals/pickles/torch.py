"""Rebuild torch tensors from a pickle as NumPy arrays."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.pickles.allowed import RejectedError, bytes_of


def load_storage(data: Any) -> NDArray[Any]:
    """Replacement of torch's _load_from_bytes: the numbers of a tensor's storage, in one row.

    torch reads them with weights_only, which creates only tensors and storages.
    """
    import torch

    try:
        storage = torch.load(io.BytesIO(bytes_of(data)), map_location="cpu", weights_only=True)
        row = torch.tensor([], dtype=storage.dtype).set_(storage)
        return row.numpy()
    except Exception as error:  # torch can raise many kinds of errors
        raise RejectedError("contains a tensor that is not only numbers") from error


def rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> NDArray[Any]:
    """Replacement of torch's _rebuild_tensor_v2: a copy of its part of the storage."""
    valid = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride)
    valid = valid and all(type(n) is int and n >= 0 for n in (offset, *size, *stride))
    if not isinstance(storage, np.ndarray) or storage.ndim != 1 or not valid:
        raise RejectedError("contains a tensor in an unknown form")
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    count = math.prod(size)
    if count and (last >= len(storage) or count > len(storage)):
        raise RejectedError("contains a tensor that is larger than its data")
    if not count:
        return np.zeros(size, storage.dtype)
    steps = tuple(step * storage.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy()
