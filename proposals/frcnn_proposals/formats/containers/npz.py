"""Read NumPy's .npz files from outside: only tables of numbers, with a limit of memory."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from frcnn_proposals.errors import InputError, reason

# Limits of the total size of the arrays: times the file's length, and bytes; the greater applies.
_MOST_PRESSED, _LEAST_ROOM = 50, 1 << 26


def load_npz(path: Path) -> Mapping[str, NDArray[Any]]:
    """The arrays of an .npz file by name. Arrays that need unpickling are rejected.

    A small file cannot make it allocate much memory. Raises InputError, which names the file.
    """
    arrays = {}
    try:
        left = max(_LEAST_ROOM, _MOST_PRESSED * path.stat().st_size)
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(".npy"):
                    array = _array(archive, entry, left)
                    left -= array.nbytes
                    arrays[entry.filename.removesuffix(".npy")] = array
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged file raises many kinds of errors
        raise InputError(f"{path}: cannot be read as an .npz file ({reason(error)})") from error
    return arrays


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, room: int) -> NDArray[Any]:
    """One array, of at most `room` bytes."""
    if entry.flag_bits & 1:
        raise ValueError(f"{entry.filename} is encrypted")
    with archive.open(entry) as member:
        version = npy.read_magic(member)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, by_columns, dtype = read(member)
        if dtype.hasobject or dtype.kind not in "iuf" or len(shape) > 2:
            raise ValueError(f"{entry.filename} is not a table of numbers")
        size = math.prod(shape) * dtype.itemsize
        if not 0 <= size <= room:
            raise ValueError(f"{entry.filename} claims to hold {size} bytes")
        data = member.read(size)
    array = np.frombuffer(data, dtype)
    return array.reshape(shape, order="F" if by_columns else "C")
