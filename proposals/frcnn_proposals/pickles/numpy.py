"""Rebuild NumPy arrays from a pickle; every size and type is checked before NumPy gets it."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.pickles.allowed import RejectedError, bytes_of

# Booleans, whole numbers, floats, strings of a given length, and object (for ragged lists).
_DTYPE = re.compile(r"[<>=|]?([?bB]|b1|[iu][1248]|f[248]|[SU][1-9]\d{0,3}|O8?)")
_OBJECT = np.dtype("O")


def make_dtype(name: Any, align: Any = False, copy: Any = False) -> np.dtype[Any]:
    """Replacement of numpy.dtype(name, align, copy). Only plain types are accepted."""
    text = name.decode("latin1") if isinstance(name, bytes) else name
    if not isinstance(text, str) or not _DTYPE.fullmatch(text):
        raise RejectedError(f"contains an array of {name!r}")
    # A copy, because its state is set next, and NumPy's own object must not change.
    return np.dtype("O" if "O" in text else text, copy=True)


def set_dtype(dtype: np.dtype[Any], state: Any) -> None:
    """Set the byte order of a dtype; other state is ignored or rejected."""
    plain = isinstance(state, tuple) and len(state) >= 5 and state[2:5] == (None, None, None)
    order = state[1] if plain else None
    order = order.decode("latin1") if isinstance(order, bytes) else order
    if order not in ("<", ">", "|", "="):
        raise RejectedError("contains an array of structures")
    if dtype.kind in "iufU" and order in "<>":
        size, alignment = (dtype.itemsize, 4) if dtype.kind == "U" else (-1, -1)
        state = (3, order, None, None, None, size, alignment, 0)
        dtype.__setstate__(state)  # type: ignore[attr-defined]


def empty_array(kind: Any, shape: Any, typecode: Any) -> NDArray[Any]:
    """Replacement of numpy's _reconstruct: an array that set_array fills."""
    return np.empty(0)


def set_array(array: NDArray[Any], state: Any) -> None:
    """Fill an array in place from its pickled state (version, shape, dtype, fortran, data)."""
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise RejectedError("contains an array in an unknown form")
    shape, dtype, fortran, data = state[-4:]
    if dtype == _OBJECT:
        length = len(data) if isinstance(data, list) else -1
        values = data
    else:
        values = bytes_of(data)
        length = len(values)
    _check_shape(shape, dtype, length)
    array.__setstate__((1, shape, dtype, bool(fortran), values))  # type: ignore[arg-type]


def make_scalar(dtype: Any, data: Any = b"") -> Any:
    """Replacement of numpy's scalar(dtype, bytes)."""
    values = bytes_of(data)
    _check_shape((1,), dtype, len(values))
    return np.frombuffer(values, dtype)[0]


def array_of_buffer(buffer: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    """Replacement of numpy's _frombuffer, which newer pickles use."""
    values = bytes_of(buffer)
    _check_shape(shape, dtype, len(values))
    return np.frombuffer(values, dtype).reshape(shape, order="F" if order == "F" else "C")


def _check_shape(shape: Any, dtype: Any, length: int) -> None:
    if not isinstance(dtype, np.dtype):
        raise RejectedError("contains an array without a type")
    sides = isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape)
    item_size = 1 if dtype == _OBJECT else dtype.itemsize
    if not sides or len(shape) > 4 or math.prod(shape) * item_size != length:
        raise RejectedError(f"contains an array of shape {shape!r} with data of another size")
