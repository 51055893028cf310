"""Reading MATLAB files of versions 5 to 7, in NumPy alone: compiled readers trust such files.

A file is a row of elements, each of a type, a length and so many bytes; a variable is an element
that holds others. Source: "MAT-File Format", MathWorks, Level 5.
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
# Bytes of an element that holds nothing.
_LEAST = 8
_ORDERS = {b"IM": "<", b"MI": ">"}
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
_STORED |= {12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
# Classes of variables.
_CELL, _TEXT, _NUMBERS = 1, 4, range(6, 16)
_COMPLEX = 0x0800
# Cells in a cell: no format of proposals goes deeper.
_DEEPEST = 2
_EMPTY = np.zeros((0, 0))
# What stands for a variable of a kind that holds no boxes.
NOT_READ = np.zeros((1, 1), [("not read", "O")])


def read_mat5(content: bytes, limit: int) -> dict[str, NDArray[Any]]:
    """The variables of a v5, v6 or v7 file; a structured array stands for what is not read.

    limit: bytes that its compressed variables may come to.
    Raises ValueError or another error where the file is damaged or holds more.
    """
    order = _ORDERS.get(content[126:_HEAD])
    if order is None:
        raise ValueError("its head is none of MATLAB's")
    (version,) = struct.unpack_from(f"{order}H", content, 124)
    if version != 0x0100:
        raise ValueError(f"it is of the unknown version {version >> 8}")
    variables = {}
    for element in _elements(memoryview(content)[_HEAD:], order):
        if element.type == _COMPRESSED:
            whole = _decompressed(element.data, limit)
            limit -= len(whole)
            element = _next(_elements(memoryview(whole), order))
        if element.type != _MATRIX:
            raise ValueError(f"an element of type {element.type} where a variable belongs")
        name, value = _variable(element, depth=0)
        if name:  # what has none belongs to MATLAB itself
            variables[name] = value
    return variables


@dataclass(frozen=True)
class _Element:
    type: int
    data: memoryview
    order: str

    def numbers(self) -> NDArray[Any]:
        """Its numbers, a copy in this machine's byte order."""
        if self.type not in _STORED:
            raise ValueError(f"an element of type {self.type} where numbers belong")
        stored = np.dtype(self.order + _STORED[self.type])
        return np.frombuffer(self.data, stored).astype(stored.newbyteorder("="))

    def text(self) -> str:
        if self.type not in _ENCODINGS:
            raise ValueError(f"an element of type {self.type} where letters belong")
        encoding = _ENCODINGS[self.type]
        if encoding not in ("latin-1", "utf-8"):
            encoding += "-le" if self.order == "<" else "-be"
        return str(self.data, encoding, "replace")


def _elements(content: memoryview, order: str) -> Iterator[_Element]:
    """The elements of which `content` consists, one after another."""
    at = 0
    while at < len(content):
        if at + _LEAST > len(content):
            raise ValueError("it ends before its variables do")
        kind, size = struct.unpack_from(f"{order}II", content, at)
        begin = at + 8
        if kind >> 16:  # up to four bytes lie in the tag itself
            kind, size, begin = kind & 0xFFFF, kind >> 16, at + 4
            if size > 4:
                raise ValueError("a small element of more than 4 bytes")
        data = content[begin : begin + size]
        if len(data) != size:
            raise ValueError("it ends before its variables do")
        yield _Element(kind, data, order)
        at = begin + size
        if kind != _COMPRESSED:
            at += -at % 8


def _next(elements: Iterator[_Element]) -> _Element:
    found = next(elements, None)
    if found is None:
        raise ValueError("a variable lacks some of its parts")
    return found


def _variable(element: _Element, depth: int) -> tuple[str, NDArray[Any]]:
    """A variable's or a cell's name, empty for a cell, and value."""
    if not element.data:
        return "", _EMPTY
    parts = _elements(element.data, element.order)
    flag = int(_next(parts).numbers()[0])
    shape = _next(parts).numbers().tolist()
    name = _next(parts).text()
    kind, count = flag & 0xFF, math.prod(shape)
    if len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"the variable {name} of shape {shape}")
    if kind in _NUMBERS and not flag & _COMPLEX:
        return name, _next(parts).numbers().reshape(shape, order="F")
    if kind == _TEXT:
        return name, _text(_next(parts).text() if count else "", shape[0], count)
    if kind == _CELL and depth < _DEEPEST:
        if count * _LEAST > len(element.data):
            raise ValueError(f"{count} cells in {len(element.data)} bytes")
        return name, _cells(parts, count, depth).reshape(shape, order="F")
    return name, NOT_READ


def _cells(parts: Iterator[_Element], count: int, depth: int) -> NDArray[Any]:
    cells = np.empty(count, object)
    for index in range(count):
        part = _next(parts)
        if part.type != _MATRIX:
            raise ValueError(f"an element of type {part.type} where a cell belongs")
        cells[index] = _variable(part, depth + 1)[1]
    return cells


def _text(letters: str, rows: int, count: int) -> NDArray[Any]:
    """A text a row; letters that take two codes make one text of it all."""
    if rows > 1 and len(letters) == count:
        return np.array([letters[row::rows] for row in range(rows)])
    return np.array([letters])


def _decompressed(data: memoryview, limit: int) -> bytes:
    stream = zlib.decompressobj()
    whole = stream.decompress(data, limit + 1)
    if len(whole) > limit:
        raise ValueError("it claims far more than it holds")
    if not stream.eof:
        raise ValueError("its compressed variables are cut")
    return whole
