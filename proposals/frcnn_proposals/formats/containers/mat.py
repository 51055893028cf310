"""Read the variables of a MATLAB file: v4 to v7 with NumPy, v7.3 (HDF5) with h5py."""

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

# Limit of the size of a file's arrays. Files can be compressed, but a few bytes can also expand to
# gigabytes of zeros, or refer to the same array a million times.
_LEAST_LIMIT = 64 << 20
_MOST_EXPANSION = 64


def load_mat(path: Path) -> Variables:
    """The variables of a .mat file: numbers as 2-D arrays, cells as object arrays, text as str.

    Raises InputError, which names the file, if it cannot be read or needs h5py to be installed.
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
    except Exception as error:  # a damaged file raises many kinds of errors
        raise InputError(f"{path}: cannot be read as a MATLAB file ({reason(error)})") from error
