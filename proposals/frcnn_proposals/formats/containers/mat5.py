"""Read MATLAB files of versions 5 to 7 with NumPy only, because compiled readers trust the file.

A file is a sequence of elements, each with a type, a length and bytes. A variable is an element
that contains other elements. Source: "MAT-File Format", MathWorks, Level 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEAD = 128
# Bytes of an empty element.
_LEAST = 8
_ORDERS = {b"IM": "<", b"MI": ">"}
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
_STORED |= {12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
# Classes of variables.
_CELL, _TEXT, _NUMBERS = 1, 4, range(6, 16)
_COMPLEX = 0x0800
# Greatest depth of cells in cells; no proposal format needs more.
_DEEPEST = 2
_EMPTY = np.zeros((0, 0))
# Placeholder for a variable of a kind that cannot contain boxes.
NOT_READ = np.zeros((1, 1), [("not read", "O")])


def read_mat5(content: bytes, limit: int) -> dict[str, NDArray[Any]]:
    """The variables of a v5, v6 or v7 file. NOT_READ replaces variables that are not read.

    limit: greatest size of its decompressed variables, in bytes.
    Raises ValueError or another error if the file is damaged or exceeds the limit.
    """
    order = _ORDERS.get(content[126:_HEAD])
    if order is None:
        raise ValueError("its header is not MATLAB's")
    (version,) = struct.unpack_from(f"{order}H", content, 124)
    if version != 0x0100:
        raise ValueError(f"it has the unknown version {version >> 8}")
    variables = {}
    for element in _elements(memoryview(content)[_HEAD:], order):
        if element.type == _COMPRESSED:
            whole = _decompressed(element.data, limit)
            limit -= len(whole)
            element = _next(_elements(memoryview(whole), order))
        if element.type != _MATRIX:
            raise ValueError(f"an element has type {element.type}, but a variable was expected")
        name, value = _variable(element, depth=0)
        if name:  # variables without a name belong to MATLAB itself
            variables[name] = value
    return variables


@dataclass(frozen=True)
class _Element:
    type: int
    data: memoryview
    order: str

    def numbers(self) -> NDArray[Any]:
        """A copy of the numbers in this machine's byte order."""
        if self.type not in _STORED:
            raise ValueError(f"an element has type {self.type}, but numbers were expected")
        stored = np.dtype(self.order + _STORED[self.type])
        return np.frombuffer(self.data, stored).astype(stored.newbyteorder("="))

    def text(self) -> str:
        if self.type not in _ENCODINGS:
            raise ValueError(f"an element has type {self.type}, but text was expected")
        encoding = _ENCODINGS[self.type]
        if encoding not in ("latin-1", "utf-8"):
            encoding += "-le" if self.order == "<" else "-be"
        return str(self.data, encoding, "replace")


def _elements(content: memoryview, order: str) -> Iterator[_Element]:
    """The elements of `content`, one after another."""
    at = 0
    while at < len(content):
        if at + _LEAST > len(content):
            raise ValueError("it is truncated")
        kind, size = struct.unpack_from(f"{order}II", content, at)
        begin = at + 8
        if kind >> 16:  # up to four bytes are stored in the tag
            kind, size, begin = kind & 0xFFFF, kind >> 16, at + 4
            if size > 4:
                raise ValueError("a small element has more than 4 bytes")
        data = content[begin : begin + size]
        if len(data) != size:
            raise ValueError("it is truncated")
        yield _Element(kind, data, order)
        at = begin + size
        if kind != _COMPRESSED:
            at += -at % 8


def _next(elements: Iterator[_Element]) -> _Element:
    found = next(elements, None)
    if found is None:
        raise ValueError("a part of a variable is missing")
    return found


def _variable(element: _Element, depth: int) -> tuple[str, NDArray[Any]]:
    """The name (empty for a cell) and value of a variable or cell."""
    if not element.data:
        return "", _EMPTY
    parts = _elements(element.data, element.order)
    flag = int(_next(parts).numbers()[0])
    shape = _next(parts).numbers().tolist()
    name = _next(parts).text()
    kind, count = flag & 0xFF, math.prod(shape)
    if len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"variable {name} has the shape {shape}")
    if kind in _NUMBERS and not flag & _COMPLEX:
        return name, _next(parts).numbers().reshape(shape, order="F")
    if kind == _TEXT:
        return name, _text(_next(parts).text() if count else "", shape[0], count)
    if kind == _CELL and depth < _DEEPEST:
        if count * _LEAST > len(element.data):
            raise ValueError(f"{count} cells do not fit into {len(element.data)} bytes")
        return name, _cells(parts, count, depth).reshape(shape, order="F")
    return name, NOT_READ


def _cells(parts: Iterator[_Element], count: int, depth: int) -> NDArray[Any]:
    cells = np.empty(count, object)
    for index in range(count):
        part = _next(parts)
        if part.type != _MATRIX:
            raise ValueError(f"an element has type {part.type}, but a cell was expected")
        cells[index] = _variable(part, depth + 1)[1]
    return cells


def _text(letters: str, rows: int, count: int) -> NDArray[Any]:
    """One text per row, or one text in total if a character has two code units."""
    if rows > 1 and len(letters) == count:
        return np.array([letters[row::rows] for row in range(rows)])
    return np.array([letters])


def _decompressed(data: memoryview, limit: int) -> bytes:
    stream = zlib.decompressobj()
    whole = stream.decompress(data, limit + 1)
    if len(whole) > limit:
        raise ValueError("its variables are too large for the file")
    if not stream.eof:
        raise ValueError("its compressed variables are truncated")
    return whole
