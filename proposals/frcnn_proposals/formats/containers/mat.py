"""Reading a MATLAB file's variables: v4 to v7 in NumPy, v7.3 (which is HDF5) with h5py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.formats.containers.mat4 import is_mat4, read_mat4
from frcnn_proposals.formats.containers.mat5 import read_mat5
from frcnn_proposals.formats.containers.mat73 import is_hdf5, load_mat73
from frcnn_proposals.reading import read_bytes

Variables = Mapping[str, NDArray[Any]]

# What the arrays of a file may come to: its bytes can be compressed, but a few bytes can also
# stand for gigabytes of nulls, or name the same array a million times.
_LEAST_LIMIT = 64 << 20
_MOST_EXPANSION = 64


def load_mat(path: Path) -> Variables:
    """The variables of a .mat file: numbers as 2-D arrays, cells as object arrays, text as str.

    Raises InputError, naming the file, if it cannot be read or needs h5py, which is not there.
    """
    try:
        limit = _LEAST_LIMIT + _MOST_EXPANSION * path.stat().st_size
        if is_hdf5(path):
            return load_mat73(path, limit)
        content = read_bytes(path)
        return read_mat4(content) if is_mat4(content) else read_mat5(content, limit)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # what is damaged raises a dozen kinds of error
        raise InputError(
            f"{path}: is not a MATLAB file that can be read ({reason(error)})"
        ) from error


def numbers(value: Any, columns: tuple[int, ...] = (4,)) -> NDArray[Any] | None:
    """`value` if it is a table of numbers with one of these column counts; empty counts as one."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
        return None
    if value.size == 0:
        return np.zeros((0, columns[0]))
    return value if value.ndim == 2 and value.shape[1] in columns else None


def cells(value: Any) -> list[Any] | None:
    """The items of a cell array; None if it is something else."""
    if not isinstance(value, np.ndarray) or value.dtype != object or value.dtype.names:
        return None
    return list(value.ravel(order="F"))


def tables(value: Any, columns: tuple[int, ...] = (4,)) -> list[NDArray[Any]] | None:
    """The items of a cell array of number tables; None if it is something else."""
    items = cells(value)
    found = [numbers(item, columns) for item in items] if items else None
    if found is None or any(item is None for item in found):
        return None
    return [item for item in found if item is not None]


def texts(value: Any) -> list[str] | None:
    """The items of a cell array of strings; None if it is something else."""
    items = cells(value)
    if items is None:
        return None
    found = [
        str(np.asarray(item).ravel()[0]) for item in items if np.asarray(item).dtype.kind == "U"
    ]
    return found if len(found) == len(items) else None


def columns_of(value: Any, count: int) -> NDArray[Any] | None:
    """`value` as one row of `count` numbers (scores may be a row or a column), else None."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "iuf" and value.size == count:
        return value.ravel()
    return None
