"""Pickles that would run code, never end, or claim far more than they contain."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator

import numpy as np
from corpus import BadInput, Ends, cuts, flips, written

INSPECT = ("proposals", "inspect", "a.pkl")
CONVERT = ("proposals", "convert", "a.pkl", "out.proposals")
_RAN = "touch ran"


def bad_pickles() -> Iterator[BadInput]:
    for name, content in programs().items():
        yield pkl(f"runs {name}", content)
    for name, content in claims().items():
        yield pkl(name, content)
    for name, value in misfits().items():
        yield pkl(name, pickle.dumps(value, 4))
    good = pickle.dumps(detectron(), 2)
    for what, content in [*cuts(good), *flips(good, 15)]:
        yield pkl(what, content, "either")
    for protocol in range(6):
        yield pkl(f"protocol {protocol}, cut", pickle.dumps(detectron(), protocol)[:-1])
        yield pkl(f"protocol {protocol}", pickle.dumps(detectron(), protocol), "result")


def pkl(name: str, content: bytes, ends: Ends = "message") -> BadInput:
    arguments = CONVERT if ends == "message" else INSPECT
    return BadInput(f"pickle/{name}", written("a.pkl", content), arguments, "a.pkl", ends)


def detectron() -> dict[str, object]:
    table = np.array([[1, 2, 30, 40], [0, 0, 9, 9]], np.float32)
    return {"boxes": [table, table + 1], "scores": [np.ones(2), np.ones(2)], "indexes": [12, 345]}


class Calls:
    """An object whose pickle makes the loader call this function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.reduced


def programs() -> dict[str, bytes]:
    """Pickles that would write the file `ran`, or worse."""
    import builtins
    import functools
    import os
    import subprocess

    found = {
        "os.system": Calls(os.system, _RAN),
        "subprocess.Popen": Calls(subprocess.Popen, ["touch", "ran"]),
        "eval": Calls(builtins.eval, f"__import__('os').system({_RAN!r})"),
        "exec": Calls(builtins.exec, f"import os; os.system({_RAN!r})"),
        "getattr": Calls(builtins.getattr, 1, "real"),
        "open": Calls(open, "ran", "w"),
        "os.unlink": Calls(os.unlink, "a.pkl"),
        "functools.partial": Calls(functools.partial, os.system, _RAN),
        "input": Calls(input),
        "a call within boxes": {"boxes": [Calls(os.system, _RAN)], "indexes": [1]},
    }
    named = {name: pickle.dumps(value, 2) for name, value in found.items()}
    system = b"cposix\nsystem\n"
    return named | {
        "INST": b"(S'touch ran'\niposix\nsystem\n.",
        "OBJ": b"(" + system + b"S'touch ran'\no.",
        "NEWOBJ": b"\x80\x02" + system + b"X\x09\0\0\0touch ran\x85\x81.",
        "NEWOBJ_EX": b"\x80\x04" + system + b"\x8c\x09touch ran\x85}\x92.",
        "BUILD on a class": b"\x80\x02cnumpy\nndarray\n}X\x01\0\0\0aK\x01sb.",
        "an extension": b"\x80\x02\x82\x01.",
        "a persistent id": b"Psomewhere\n.",
        "a persistent id of an object": b"\x80\x02K\x01Q.",
        "numpy's testing": b"cnumpy.testing._private.utils\nrunstring\n(S'1'\n}tR.",
        "a name of several lines": b"ca\x1cb\x85c\xe2\x80\xa8d\ne\n.",
        "a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0eos.path.exists\x93.",
        "a method of an allowed name": b"\x80\x04\x8c\x08builtins\x8c\x0fset.__subclasshook__\x93.",
        "REDUCE of a text": b"\x80\x02X\x01\0\0\0a)R.",
        "torch's loader with a pickle": b"\x80\x02ctorch.storage\n_load_from_bytes\nC"
        + bytes([len(b"cposix\nsystem\n(S'touch ran'\ntR.")])
        + b"cposix\nsystem\n(S'touch ran'\ntR.\x85R.",
    }


def claims() -> dict[str, bytes]:
    most = 10**12
    eight = struct.pack("<Q", most)
    array = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87R"
    dtype = b"cnumpy\ndtype\nX\x02\0\0\0f4K\0K\x01\x87R"
    shape = b"\x8a\x06" + most.to_bytes(6, "little")
    table = array + b"(K\x01" + shape + b"K\x04\x86" + dtype
    return {
        "empty": b"",
        "a dot": b".",
        "nulls": bytes(1000),
        "10^12 letters": b"\x80\x04\x8d" + eight + b"a.",
        "10^12 bytes": b"\x80\x04\x8e" + eight + b"a.",
        "10^12 bytes to change": b"\x80\x05\x96" + eight + b"a.",
        "a frame of 10^12": b"\x80\x04\x95" + eight + b"N.",
        "a number of 2^31 bytes": b"\x80\x02\x8b\xff\xff\xff\x7f\x01.",
        "a number of -1 bytes": b"\x80\x02\x8b\xff\xff\xff\xff\x01.",
        "a text of -1 bytes": b"\x80\x02T\xff\xff\xff\xffa.",
        "a number of a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
        "an array of 10^12 rows": table + b"\x89C\x04\0\0\0\0tb.",
        "an array of 10^12 objects": table.replace(b"f4", b"O8") + b"\x89]tb.",
        "an array of objects from bytes": array
        + b"(K\x01K\x02\x85cnumpy\ndtype\nX\x02\0\0\0O8K\0K\x01\x87R\x89C\x10"
        + b"\x41" * 16
        + b"tb.",
        "an array of letters of 2^30": b"\x80\x02cnumpy\ndtype\n"
        b"X\x0a\0\0\0U1073741824K\0K\x01\x87R.",
        "an array of structures": b"\x80\x02cnumpy\ndtype\nX\x05\0\0\0f4,O8K\0K\x01\x87R.",
        "a memo of 2^31": b"\x80\x02Nr\xff\xff\xff\x7f.",
        "a missing memo": b"\x80\x02h\x07.",
        "a missing mark": b"\x80\x02t.",
        "an empty stack": b"\x80\x020.",
        "nested lists": b"\x80\x02" + b"]" * 300_000 + b"a" * 299_999 + b".",
        "nested tuples": b"\x80\x02N" + b"\x85" * 300_000 + b".",
        "a list in itself": b"\x80\x02]q\0h\0a.",
        "a dict in itself": b"\x80\x02}q\0X\x05\0\0\0boxesh\0s.",
        "boxes in themselves": b"\x80\x02}X\x05\0\0\0boxes]q\0h\0asX\x07\0\0\0indexes]K\x01as.",
        "2^30 lists by doubling": b"\x80\x02]" + b"q\0]h\0ah\0a" * 30 + b".",
        "a tuple as its own key": b"\x80\x02}]K\x01s.",
        "a million marks": b"\x80\x02" + b"(" * 1_000_000 + b".",
        "a million times None": b"\x80\x02(" + b"N" * 1_000_000 + b"l.",
        "protocol 250": b"\x80\xfaN.",
        "no stop": b"\x80\x02N",
        "two": pickle.dumps(1, 2) + pickle.dumps(2, 2),
        "an unknown instruction": b"\x80\x02\xff.",
        "a lone surrogate": b"\x80\x02X\x01\0\0\0\xff.",
    }


def misfits() -> dict[str, object]:
    """Valid and harmless pickles that are not proposals."""
    table = np.array([[1.0, 2, 30, 40]], np.float32)

    def boxes(*rows: object) -> dict[str, object]:
        made = np.array(rows, np.float64).reshape(-1, 4)
        return {"boxes": [made], "scores": [np.ones(len(made))], "indexes": [12]}

    deep: object = table
    for _ in range(50):
        deep = [deep]
    return {
        "None": None,
        "a number": 5,
        "a text": "boxes",
        "an empty list": [],
        "an empty dict": {},
        "a set": {1, 2},
        "boxes without ids": {"boxes": [table]},
        "more boxes than ids": {**detectron(), "indexes": [12]},
        "ids of floats": {**detectron(), "indexes": [1.5, 2.5]},
        "ids of 10^6000": {**detectron(), "indexes": [10**6000, 12]},
        "ids of half a character": {**detectron(), "indexes": ["\ud800", "b"]},
        "a name of 10^6000": {10**6000: [table]},
        "ids twice": {**detectron(), "indexes": [12, 12]},
        "boxes of five columns": {**detectron(), "boxes": [np.ones((2, 5)), np.ones((2, 5))]},
        "boxes of texts": {**detectron(), "boxes": [np.array([["a"] * 4])] * 2},
        "boxes in 50 lists": {**detectron(), "boxes": deep},
        "boxes of NaN": boxes([np.nan, 1, 2, 3]),
        "boxes of infinity": boxes([1, 1, np.inf, 3]),
        "boxes of 1e300": boxes([1, 1, 1e300, 1e300]),
        "reversed boxes": boxes([20, 20, 3, 3]),
        "negative boxes": boxes([-20, -20, 3, 3]),
        "scores of NaN": {**detectron(), "scores": [np.full(2, np.nan)] * 2},
        "an escape sequence": {"boxes": [np.ones((1, 3))], "\x1b[2J\x1b]0;owned\x07": 1},
    }
