"""MATLAB files of every version compared with SciPy's reader, and files that would crash it."""

from __future__ import annotations

import ctypes
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io.matlab

from frcnn_proposals.errors import InputError
from frcnn_proposals.formats import read_proposals
from frcnn_proposals.formats.containers import mat73
from frcnn_proposals.formats.containers.mat import load_mat

# Files that MATLAB 4 to 7.4 wrote on five machines; SciPy's wheels contain its tests.
WRITTEN = Path(scipy.io.matlab.__file__).parent / "tests" / "data"
HEAD = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\x01IM"
TABLE = np.array([[1.0, 2, 30, 40], [5, 6, 70, 80]])


def assert_same(found, expected):
    """Compares numbers, texts and cells. Other kinds, deeply nested cells and complex numbers are
    not read.
    """
    if not isinstance(expected, np.ndarray) or expected.dtype.kind in "cV" or found.dtype.names:
        assert found.dtype.names == ("not read",)
    elif expected.dtype == object:
        assert found.shape == expected.shape
        for index in np.ndindex(expected.shape):
            assert_same(found[index], expected[index])
    elif expected.size == 0:
        assert found.size == 0 or found.tolist() == [""]
    else:
        np.testing.assert_array_equal(found, expected)
        assert found.dtype.isnative


@pytest.mark.skipif(not WRITTEN.is_dir(), reason="SciPy is installed without its tests")
@pytest.mark.filterwarnings("ignore")
def test_files_of_matlab_are_read_like_scipy_reads_them():
    compared = 0
    for path in sorted(WRITTEN.glob("test*.mat")):
        try:
            expected = scipy.io.loadmat(path)
        except Exception:
            continue
        found = load_mat(path)
        for name in expected.keys() - {"__header__", "__version__", "__globals__"}:
            if name == "__function_workspace__":
                continue
            # Objects of MATLAB classes are no proposals. SciPy 1.18 and later names them.
            if isinstance(expected[name], scipy.io.matlab.MatlabOpaque) and name not in found:
                continue
            assert_same(found[name], expected[name])
            compared += found[name].dtype.names is None
    assert compared > 40


@pytest.mark.parametrize(
    ("options", "dtypes"),
    [
        ({"format": "4"}, "u1 i2 u2 i4 f4 f8 >f8"),
        ({}, "u1 i2 u2 i4 f4 f8 >f8 i8 u8 i1 u4"),
        ({"do_compression": True}, "u1 f8 i8"),
    ],
)
def test_numbers_of_every_type(tmp_path, options, dtypes):
    tables = {f"a{i}": TABLE.astype(dtype) for i, dtype in enumerate(dtypes.split())}
    scipy.io.savemat(tmp_path / "a.mat", tables, **options)
    found = load_mat(tmp_path / "a.mat")
    assert found.keys() == tables.keys()
    for name, table in tables.items():
        np.testing.assert_array_equal(found[name], TABLE)
        assert found[name].dtype == table.dtype.newbyteorder("=")


def element(kind: int, content: bytes) -> bytes:
    padding = 0 if kind == 15 else -len(content) % 8
    return struct.pack("<II", kind, len(content)) + content + bytes(padding)


def matrix(kind: int, shape: tuple[int, ...], *contents: bytes, name: bytes = b"boxes") -> bytes:
    sizes = struct.pack(f"<{len(shape)}i", *shape)
    head = element(6, struct.pack("<II", kind, 0)) + element(5, sizes) + element(1, name)
    return element(14, head + b"".join(contents))


def nested(depth: int) -> bytes:
    """Nested cells, about 50 bytes each."""
    head = matrix(1, (1, 1), name=b"")[8:]
    size, found = 0, []
    for _ in range(depth):
        size += len(head)
        found.append(struct.pack("<II", 14, size) + head)
        size += 8
    return b"".join(reversed(found))


DOUBLES = element(9, TABLE.T.tobytes())
REJECTED = {
    "a text of an unknown type": matrix(4, (1, 1), element(0, b"a")),
    "a text of type 125": matrix(4, (1, 1), element(125, b"a")),
    "numbers of type 14": matrix(6, (2, 4), element(14, DOUBLES)),
    "one number missing": matrix(6, (3, 3), DOUBLES),
    "a shape of one side": matrix(6, (8,), DOUBLES),
    "sides below zero": matrix(6, (-2, -4), DOUBLES),
    "no numbers": matrix(6, (2, 4)),
    "2^62 cells": matrix(1, (2**31 - 1, 2**31 - 1)),
    "2 cells of one": matrix(1, (1, 2), matrix(6, (2, 4), DOUBLES)),
    "a cell that is not one": matrix(1, (1, 1), DOUBLES),
    "2 GiB": struct.pack("<II", 14, 2**31),
    "a small element of 9 bytes": struct.pack("<HHI", 14, 9, 0),
    "a truncated tag": struct.pack("<I", 14),
    "numbers instead of a variable": DOUBLES,
    "compressed in compressed": element(15, zlib.compress(element(15, zlib.compress(DOUBLES)))),
    "compressed and truncated": element(15, zlib.compress(matrix(6, (2, 4), DOUBLES))[:-5]),
    "compressed zeros": element(15, zlib.compress(bytes(200 << 20))),
    "compressed nothing": element(15, zlib.compress(b"")),
}


@pytest.mark.parametrize("name", REJECTED)
def test_damaged_files_are_rejected(tmp_path, name):
    (tmp_path / "a.mat").write_bytes(HEAD + REJECTED[name])
    with pytest.raises(InputError, match=r"a\.mat: cannot be read as a MATLAB file"):
        load_mat(tmp_path / "a.mat")


@pytest.mark.parametrize("packed", [False, True])
def test_cells_in_a_hundred_thousand_cells(tmp_path, packed):
    """A recursive reader would run out of stack at 5,000, in a file of 10 kB."""
    cells = nested(100_000)
    (tmp_path / "a.mat").write_bytes(
        HEAD + (element(15, zlib.compress(cells)) if packed else cells)
    )
    with pytest.raises(InputError, match=r"a\.mat: is not any known proposal format"):
        read_proposals(tmp_path / "a.mat")


def test_version_4_with_a_text_of_many_empty_rows(tmp_path):
    head = struct.pack("<5i", 51, 2**31 - 1, 0, 0, 6) + b"boxes\0"
    (tmp_path / "a.mat").write_bytes(head)
    assert load_mat(tmp_path / "a.mat")["boxes"].size == 1


def mat73_file(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["boxes"] = TABLE.T
    return path


@pytest.mark.parametrize("harm", [lambda *_: ctypes.string_at(0), lambda *_: max(iter(int, 1))])
def test_a_crash_or_hang_of_hdf5_is_a_message(tmp_path, monkeypatch, harm):
    path = mat73_file(tmp_path / "a.mat")
    np.testing.assert_array_equal(load_mat(path)["boxes"], TABLE)
    monkeypatch.setattr(mat73, "_read", harm)
    monkeypatch.setattr(mat73, "_SECONDS", 0.2)
    with pytest.raises(InputError, match=r"(?s)a\.mat: .*(SIGSEGV|more than).*save\(\.\.\., '-v7'"):
        load_mat(path)
