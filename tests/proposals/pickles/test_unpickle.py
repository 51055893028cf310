"""The safe unpickler: it reads the content of proposal files and runs nothing."""

from __future__ import annotations

import io
import os
import pickle
import resource
import subprocess
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
import torch

from frcnn_proposals.errors import InputError
from frcnn_proposals.pickles.allowed import InstanceData
from frcnn_proposals.pickles.unpickle import load_pickle

PLAIN = {
    "floats": np.random.default_rng(0).random((3, 4)).astype(np.float32),
    "columns first": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "big-endian": np.arange(4, dtype=">i4"),
    "no rows": np.zeros((0, 4), np.uint16),
    "strings": np.array(["a", "bcd"]),
    "bytes": np.array([b"ab", b"c"]),
    "ragged": np.array([np.zeros(2), None], dtype=object),
    "booleans": np.array([True, False]),
    "scalars": [np.float32(2.5), np.int64(-7), np.float64(1e300)],
    "python": (1, 10**30, -2.5, "ü", b"\x00\xff", b"", None, True, {1, 2}, OrderedDict(a=[1])),
}


@pytest.fixture
def write(tmp_path):
    def write(content: bytes):
        path = tmp_path / "boxes.pkl"
        path.write_bytes(content)
        return path

    return write


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray) and expected.dtype == object:
        assert_same(list(found), list(expected))
    elif isinstance(expected, np.ndarray):
        assert found.dtype.kind == expected.dtype.kind
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", PLAIN)
def test_plain_content_of_every_protocol(write, name, protocol):
    assert_same(load_pickle(write(pickle.dumps(PLAIN[name], protocol))), PLAIN[name])


def test_repeated_objects_stay_the_same_object(write):
    row = np.arange(3)
    found = load_pickle(write(pickle.dumps([row, row])))
    assert found[0] is found[1]


def test_arrays_of_python_2_are_strings(write):
    """The output of Python 2's cPickle for {'boxes': [float32 array]} with protocol 2."""
    data = np.array([[1, 2, 300, 4]], "<f4").tobytes()
    content = (
        b"\x80\x02}q\x01U\x05boxesq\x02]q\x03cnumpy.core.multiarray\n_reconstruct\nq\x04"
        b"cnumpy\nndarray\nq\x05K\x00\x85U\x01b\x87Rq\x06(K\x01K\x01K\x04\x86cnumpy\ndtype\nq\x07"
        b"U\x02f4K\x00K\x01\x87Rq\x08(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"U" + bytes([len(data)]) + data + b"tbas."
    )
    assert pickle.loads(content, encoding="latin1")["boxes"][0].tolist() == [[1, 2, 300, 4]]
    found = load_pickle(write(content))
    np.testing.assert_array_equal(found["boxes"][0], [[1, 2, 300, 4]])


@pytest.mark.parametrize("folder", ["structures", "data"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_instance_data_is_inert(write, monkeypatch, folder, protocol):
    """Fields with arrays and tensors are read; the class itself is never imported."""
    module = f"mmengine.{folder}.instance_data"
    stand_in = types.ModuleType(module)

    class Saved:
        pass

    Saved.__module__, Saved.__qualname__ = module, "InstanceData"
    stand_in.InstanceData = Saved
    parents = ["mmengine", module.rpartition(".")[0]]
    for name in parents:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module, stand_in)
    saved = Saved()
    saved._data_fields = {"bboxes", "scores"}
    saved.bboxes = torch.arange(20.0).reshape(4, 5)[:, :4]
    saved.scores = np.arange(4.0)
    content = pickle.dumps({"a/b.jpg": saved}, protocol)
    for name in (*parents, module):
        monkeypatch.setitem(sys.modules, name, None)
    found = load_pickle(write(content))["a/b.jpg"]
    assert type(found) is InstanceData
    np.testing.assert_array_equal(found.fields["bboxes"], saved.bboxes.numpy())
    np.testing.assert_array_equal(found.fields["scores"], saved.scores)


TENSORS = {
    "whole": torch.arange(6.0),
    "transposed": torch.arange(6).reshape(2, 3).t(),
    "part": torch.arange(10, dtype=torch.int16)[3:7],
    "repeated": torch.ones(1).expand(1),
    "empty": torch.zeros(0, 4),
    "halves": torch.tensor([0.5, 1.5], dtype=torch.float16),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_become_arrays(write, name):
    found = load_pickle(write(pickle.dumps(TENSORS[name])))
    np.testing.assert_array_equal(found, TENSORS[name].numpy())
    assert found.dtype == TENSORS[name].numpy().dtype


class Call:
    """Is pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def torch_file_with(value) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


REJECTED = {
    "os.system": (lambda mark: pickle.dumps(Call(os.system, f"touch {mark}")), "system"),
    "eval": (lambda mark: pickle.dumps(Call(eval, "1")), r"\.eval"),
    "subprocess": (lambda mark: pickle.dumps(Call(subprocess.Popen, ["true"])), "subprocess.Popen"),
    "inside a dict": (
        lambda mark: pickle.dumps({"boxes": [Call(os.system, f"touch {mark}")]}),
        "system",
    ),
    "protocol 0": (lambda mark: f"cos\nsystem\n(S'touch {mark}'\ntR.".encode(), r"os\.system"),
    "INST": (lambda mark: f"(S'touch {mark}'\nios\nsystem\n.".encode(), r"os\.system"),
    "OBJ": (lambda mark: f"(cos\nsystem\nS'touch {mark}'\no.".encode(), r"os\.system"),
    "persistent id": (lambda mark: b"Pfile\n.", "PERSID"),
    "extension": (lambda mark: b"\x80\x02\x82\x01.", "EXT1"),
    "another numpy function": (
        lambda mark: b"cnumpy\nfromfile\n(S'/etc/passwd'\ntR.",
        r"numpy\.fromfile",
    ),
    "numpy.load": (lambda mark: b"cnumpy\nload\n(S'x'\ntR.", r"numpy\.load"),
    "a class of arrays": (lambda mark: pickle.dumps(np.ma.zeros(3)), r"numpy\.ma"),
    "structured array": (lambda mark: pickle.dumps(np.zeros(3, [("a", "i4")])), "V4"),
    "ndarray called": (lambda mark: b"cnumpy\nndarray\n(J\xff\xff\xff\x7ftR.", "Marker"),
    "dotted name": (
        lambda mark: b"\x80\x04\x8c\x05numpy\x94\x8c\x0endarray.tofile\x94\x93.",
        r"ndarray\.tofile",
    ),
    "state of a dict": (lambda mark: b"}}b.", "state of a dict"),
    "state of a function": (
        lambda mark: b"c_codecs\nencode\n}S'call'\nNsb.",
        "state of a Function",
    ),
    "torch inside": (
        lambda mark: pickle.dumps(
            Call(torch.storage._load_from_bytes, torch_file_with(Call(os.system, f"touch {mark}")))
        ),
        "tensor",
    ),
    "items into an array": (
        lambda mark: pickle.dumps(np.zeros(3))[:-1] + b"K\x00K\x01s.",
        "items to a ndarray",
    ),
}


@pytest.mark.parametrize("name", REJECTED)
def test_anything_else_is_rejected_by_name_and_not_run(write, tmp_path, name):
    make, message = REJECTED[name]
    mark = tmp_path / "mark"
    path = write(make(mark))
    with pytest.raises(InputError, match=message) as error:
        load_pickle(path)
    assert "boxes.pkl" in str(error.value)
    assert not mark.exists()


DAMAGED = {
    "empty": b"",
    "text": b"hello",
    "truncated": pickle.dumps(PLAIN)[:-20],
    "no such memo": b"\x80\x02h\x05.",
    "stack underflow": b"\x80\x02\x86.",
    "array of another size": pickle.dumps(np.arange(4, dtype="i4"), 2).replace(
        b"K\x04\x85", b"K\x05\x85"
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_named(write, name):
    with pytest.raises(InputError, match=r"boxes\.pkl"):
        load_pickle(write(DAMAGED[name]))


def le(number: int, size: int) -> bytes:
    return number.to_bytes(size, "little")


BOMBS = {
    "bytes": b"\x80\x05\x8e" + le(1 << 40, 8),
    "bytearray": b"\x80\x05\x96" + le(1 << 40, 8),
    "string": b"\x80\x05\x8d" + le(1 << 40, 8),
    "frame": b"\x80\x05\x95" + le(1 << 40, 8),
    "long": b"\x80\x05\x8b" + le(1 << 30, 4),
    "memo": b"\x80\x02]r\xff\xff\xff\x7f.",
    "shape": pickle.dumps(np.zeros(1, "i1"), 2).replace(b"K\x01\x85", b"J\xff\xff\xff\x7f\x85"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_false_sizes_allocate_no_memory(write, name):
    """In a process limited to 2 GiB, where Python's own unpickler fails with "memo"."""
    path = write(BOMBS[name])
    code = (
        "import resource, sys\n"
        "from frcnn_proposals.pickles.unpickle import load_pickle\n"
        "from frcnn_proposals.errors import InputError\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        "try: load_pickle(sys.argv[1])\n"
        "except InputError as error: print(type(error.__cause__).__name__)\n"
        "else: print('loaded')\n"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    out = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, env=environment
    )
    assert out.returncode == 0, out.stderr
    assert out.stdout.strip() != "MemoryError"
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 4 << 20
