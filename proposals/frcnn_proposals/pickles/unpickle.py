"""Read a pickle from outside without running the code in it.

A pickle is a program for a small machine and can call any function that it names. This machine
supports only what proposal files need: NumPy arrays, lists, tuples, dicts, sets, strings, bytes and
numbers, and passive replacements for the classes of MMDetection 3. Everything else is rejected by
name before anything is imported or called.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.pickles import numpy as arrays
from frcnn_proposals.pickles import torch as tensors
from frcnn_proposals.pickles.allowed import (
    Function,
    InstanceData,
    Marker,
    RejectedError,
    bytes_of,
    shown,
)
from frcnn_proposals.pickles.size import reject_expanding
from frcnn_proposals.reading import open_file

# Each item needs at least one byte of the file. This many more can be repeated references.
_SHARED_ITEMS = 1_000_000
_MOST_BITS = 1000


def load_pickle(path: str | Path) -> Any:
    """The object in the pickle at `path`. Strings of Python 2 are read as latin1.

    Raises InputError, which names the reason, if the file contains anything that proposal files do
    not need, or if it is damaged.
    """
    try:
        size = Path(path).stat().st_size
        with open_file(path) as file:
            return _load(file, size)
    except RejectedError as error:
        raise InputError(
            f"{path}: {error}; proposal files do not need this. Nothing in the file was run.\n"
            "If you trust the file, save its boxes as plain NumPy arrays"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    # A damaged pickle can fail in any instruction, so with any error.
    except Exception as error:
        raise InputError(f"{path}: cannot be read as a pickle ({reason(error)})") from error


def loads_pickle(content: bytes) -> Any:
    """The object in a pickle in memory, read as safely as a file.

    Raises ValueError if it is damaged or contains anything that is not allowed.
    """
    try:
        return _load(io.BytesIO(content), len(content))
    except Exception as error:
        raise ValueError(reason(error)) from error


def _load(file: BinaryIO, size: int) -> Any:
    value = _Machine(_Bounded(file, size), encoding="latin1").load()
    reject_expanding(value, size + _SHARED_ITEMS)
    return value


class _Bounded:
    """A file that rejects reads beyond its end before memory is allocated for them."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file
        self._left = size

    def read(self, count: int) -> bytes:
        if count > self._left:
            raise EOFError("it ends too early")
        self._left -= count
        return self._file.read(count)

    def readline(self) -> bytes:
        line = self._file.readline(self._left)
        self._left -= len(line)
        return line


_FUNCTIONS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): Marker("numpy.ndarray"),
    ("numpy", "dtype"): Function(arrays.make_dtype),
    ("_codecs", "encode"): Function(lambda text, encoding: bytes_of(text)),
    ("collections", "OrderedDict"): Function(OrderedDict),
    ("torch._utils", "_rebuild_tensor_v2"): Function(tensors.rebuild_tensor),
    ("torch.storage", "_load_from_bytes"): Function(tensors.load_storage),
}
for _core in ("numpy.core", "numpy._core"):
    _FUNCTIONS[f"{_core}.multiarray", "_reconstruct"] = Function(arrays.empty_array)
    _FUNCTIONS[f"{_core}.multiarray", "scalar"] = Function(arrays.make_scalar)
    _FUNCTIONS[f"{_core}.numeric", "_frombuffer"] = Function(arrays.array_of_buffer)
for _builtins in ("builtins", "__builtin__"):
    _FUNCTIONS[_builtins, "set"] = Function(set)
    for _name in ("bytes", "bytearray"):
        _FUNCTIONS[_builtins, _name] = Function(lambda text=b"", encoding="": bytes_of(text))
for _mmengine in ("mmengine.structures.instance_data", "mmengine.data.instance_data"):
    _FUNCTIONS[_mmengine, "InstanceData"] = InstanceData


class _Machine(pickle._Unpickler):
    """Python's unpickler in Python, with a reduced set of instructions.

    Methods that begin with an underscore replace the instructions of the same name. (The unpickler
    in C allocates any size that an instruction states.)
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _FUNCTIONS[module, name]
        except KeyError:
            raise RejectedError(f"contains {shown(f'{module}.{name}')}") from None

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Function) or not isinstance(arguments, tuple):
            raise RejectedError(f"calls a {type(function).__name__}")
        self.stack.append(function.call(*arguments))

    def _newobj(self) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        if kind is not InstanceData or arguments != ():
            raise RejectedError(f"creates an object of {kind!r}")
        self.stack.append(InstanceData())

    def _build(self) -> None:
        state, built = self.stack.pop(), self.stack[-1]
        if type(built) is np.ndarray:
            arrays.set_array(built, state)
        elif isinstance(built, np.dtype):
            arrays.set_dtype(built, state)
        elif type(built) is InstanceData:
            built.set(state)
        else:
            raise RejectedError(f"sets the state of a {type(built).__name__}")

    def _append(self) -> None:
        item = self.stack.pop()
        _only(list, self.stack[-1]).append(item)

    def _appends(self) -> None:
        items = self.pop_mark()
        _only(list, self.stack[-1]).extend(items)

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _only(dict, self.stack[-1])[key] = value

    def _setitems(self) -> None:
        items = self.pop_mark()
        _only(dict, self.stack[-1]).update(zip(items[::2], items[1::2], strict=True))

    def _additems(self) -> None:
        items = self.pop_mark()
        _only(set, self.stack[-1]).update(items)

    def _bytearray8(self) -> None:
        self.stack.append(self.read(int.from_bytes(self.read(8), "little")))


def _whole_number(code: int) -> Any:
    """An instruction that creates an integer, limited to what floats and texts can represent."""
    make: Callable[[Any], None] = pickle._Unpickler.dispatch[code]

    def load(machine: _Machine) -> None:
        make(machine)
        if machine.stack[-1].bit_length() > _MOST_BITS:
            raise RejectedError(f"contains an integer of more than {_MOST_BITS} bits")

    return load


def _only(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise RejectedError(f"adds items to a {type(value).__name__}")
    return value


_UNCHANGED = """
    PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE BININT BININT1 BININT2
    FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE
    SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 EMPTY_TUPLE TUPLE TUPLE1
    TUPLE2 TUPLE3 EMPTY_LIST LIST EMPTY_DICT DICT EMPTY_SET FROZENSET GET BINGET LONG_BINGET
    PUT BINPUT LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL
"""


def _instruction(name: str, code: int) -> Any:
    own = vars(_Machine).get(f"_{name.lower()}")
    if own is not None:
        return own
    if name in ("INT", "LONG", "LONG1", "LONG4"):
        return _whole_number(code)
    if name in _UNCHANGED.split():
        return _Machine.dispatch[code]

    def reject(machine: _Machine) -> None:
        named = b".".join(machine.readline().strip() for _ in range(2)) if name == "INST" else b""
        text = shown(named.decode("latin1")) or f"the instruction {name}"
        raise RejectedError(f"contains {text}")

    return reject


_Machine.dispatch = {
    ord(opcode.code): _instruction(opcode.name, ord(opcode.code)) for opcode in pickletools.opcodes
}
