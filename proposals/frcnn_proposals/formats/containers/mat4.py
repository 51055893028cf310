"""Read MATLAB files of version 4: tables of numbers and text, one after another."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.formats.containers.mat5 import NOT_READ

# By the tens digit of a variable's type.
_STORED = ("f8", "f4", "i4", "i2", "u2", "u1")
_HEAD = 20
_FULL, _TEXT, _SPARSE = 0, 1, 2


def is_mat4(content: bytes) -> bool:
    """Whether a file is v4: its first number is small. Newer files begin with text."""
    return 0 in content[:4]


def read_mat4(content: bytes) -> dict[str, NDArray[Any]]:
    """The variables of a v4 file ("MAT-File Format", MathWorks, Level 4).

    Raises ValueError or another error if the file is damaged.
    """
    variables: dict[str, NDArray[Any]] = {}
    at = 0
    while at < len(content):
        name, variables[name], at = _variable(content, at)
    return variables


def _variable(content: bytes, at: int) -> tuple[str, NDArray[Any], int]:
    """The name and value of the variable at `at`, and the position of the next one."""
    (kind,) = struct.unpack_from("<i", content, at)
    order = "<" if 0 <= kind < 5000 else ">"
    kind, rows, columns, imaginary, letters = struct.unpack_from(f"{order}5i", content, at)
    thousands, digits = divmod(kind, 1000)
    stored, form = divmod(digits, 10)
    if thousands != (order == ">") or stored >= len(_STORED) or form > _SPARSE:
        raise ValueError(f"a variable has the unknown type {kind}")
    if min(rows, columns, letters) < 0:
        raise ValueError("a variable has a negative size")
    dtype = np.dtype(order + _STORED[stored])
    begin = at + _HEAD + letters
    size = rows * columns * dtype.itemsize
    after = begin + size * (2 if imaginary and form != _SPARSE else 1)
    if after > len(content):
        raise ValueError("it is truncated")
    name = content[at + _HEAD : begin].rstrip(b"\0").decode("latin-1")
    if imaginary or form == _SPARSE:
        return name, NOT_READ, after
    numbers = np.frombuffer(content[begin : begin + size], dtype)
    values = numbers.astype(dtype.newbyteorder("=")).reshape((rows, columns), order="F")
    if form == _TEXT:
        texts = ["".join(map(chr, row)) for row in values.astype(int)] if values.size else [""]
        return name, np.array(texts), after
    return name, values, after
