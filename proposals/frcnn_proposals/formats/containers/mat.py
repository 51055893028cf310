"""Reading a MATLAB file's variables: v4 to v7 in NumPy, v7.3 (which is HDF5) with h5py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
