"""MATLAB files of every version that are truncated, nested, false, or refer to other files."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import scipy.io
from corpus import BadInput, Ends, cuts, flips, written

INSPECT = ("proposals", "inspect", "a.mat")
CONVERT = ("proposals", "convert", "a.mat", "out.proposals")
_TABLE = np.array([[1.0, 2, 30, 40], [5, 6, 70, 80]])


def bad_mats() -> Iterator[BadInput]:
    four = saved({"boxes": _TABLE}, format="4")
    five = saved({"boxes": cell(_TABLE, _TABLE), "images": cell("000012", "000345")})
    packed = saved({"boxes": cell(_TABLE), "images": cell("000012")}, do_compression=True)
    seven = hdf5()
    wholes = {"version 4": four, "version 5": five, "version 7": packed, "version 7.3": seven}
    for version, whole in wholes.items():
        for what, content in [*cuts(whole), *flips(whole, 6)]:
            yield mat(f"{version} {what}", content, "either" if content else "message")
    for name, content in false_headers(five).items():
        yield mat(name, content)
    for name, content in misfits().items():
        yield BadInput(f"mat/{name}", written("a.mat", content), CONVERT, "a.mat")
    for name, make in false_hdf5().items():
        yield BadInput(f"mat/{name}", make, INSPECT, "a.mat")
    yield BadInput("mat/a folder of one bad file", _folder, ("proposals", "inspect", "a"), "b.mat")


def mat(name: str, content: bytes, ends: Ends = "message") -> BadInput:
    return BadInput(f"mat/{name}", written("a.mat", content), INSPECT, "a.mat", ends)


def cell(*items: object) -> np.ndarray:
    row = np.empty((1, len(items)), object)
    for index, item in enumerate(items):
        row[0, index] = item
    return row


def saved(variables: dict[str, object], **options: object) -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, variables, **options)
    return file.getvalue()


def false_headers(five: bytes) -> dict[str, bytes]:
    """Version 4 and 5 files whose headers promise missing data."""
    head, most = five[:128], 2**31 - 1
    four = struct.pack("<5i", 0, most, most, 0, 6) + b"boxes\0"
    bomb = zlib.compress(bytes(100 << 20))
    long_tag = struct.pack("<II", 14, most)  # a matrix of 2 GiB
    return {
        "only a header": head,
        "version 4 of 2^31 rows": four,
        "version 4 of -1 rows": struct.pack("<5i", 0, -1, 4, 0, 6) + b"boxes\0",
        "version 4 of a name of 2^31": struct.pack("<5i", 0, 2, 4, 0, most) + b"boxes\0",
        "version 4, sparse": struct.pack("<5i", 2, most, 3, 0, 6) + b"boxes\0" + bytes(96),
        "version 4 of an unknown number": struct.pack("<5i", 90, 2, 4, 0, 6) + b"boxes\0",
        "version 5 of a matrix of 2 GiB": head + long_tag,
        "version 5 of an unknown element": head + struct.pack("<II", 99, 8) + bytes(8),
        "version 5 with an empty compressed element": head + struct.pack("<II", 15, 0),
        "version 7 of 100 MB of nulls": head + struct.pack("<II", 15, len(bomb)) + bomb,
        "version 7 that is not zlib": head + struct.pack("<II", 15, 8) + b"\xff" * 8,
        "version 5 of a negative side": five.replace(
            struct.pack("<II", 5, 8) + struct.pack("<ii", 1, 2),
            struct.pack("<II", 5, 8) + struct.pack("<ii", -1, 2),
        ),
        "version 5 of 2^31 cells": five.replace(
            struct.pack("<II", 5, 8) + struct.pack("<ii", 1, 2),
            struct.pack("<II", 5, 8) + struct.pack("<ii", most, most),
        ),
        "version 5 of texts of type 0": five.replace(
            struct.pack("<II", 16, 6), struct.pack("<II", 0, 6)
        ),
        "version 7 of cells in 20,000 cells": head + _in_cells(20_000),
        "version 5 of the other byte order": five[:126] + b"MI" + five[128:],
        "version 5 of version 9": five[:124] + b"\0\x09IM" + five[128:],
        "text": b"MATLAB 5.0 MAT-file" + b"x" * 500,
        "only HDF5's first bytes": b"\x89HDF\r\n\x1a\n",
        "text of another kind": b"boxes = [1 2 3 4];\n",
    }


def _in_cells(depth: int) -> bytes:
    """Nested cells, compressed to a few bytes."""
    head = struct.pack("<12I", 6, 8, 1, 0, 5, 8, 1, 1, 1, 0, 0, 0)[:40]
    sizes = (index * (8 + len(head)) + len(head) for index in reversed(range(depth)))
    packed = zlib.compress(b"".join(struct.pack("<II", 14, size) + head for size in sizes))
    return struct.pack("<II", 15, len(packed)) + packed


def misfits() -> dict[str, bytes]:
    deep: object = _TABLE
    for _ in range(200):
        deep = cell(deep)
    return {
        "no variables": saved({}),
        "cells in cells": saved({"boxes": cell(cell(cell(_TABLE)))}),
        "cells in 200 cells": saved({"boxes": deep, "images": cell("a")}),
        "a structure": saved({"boxes": {"a": {"b": _TABLE}}}),
        "texts as boxes": saved({"boxes": cell("a", "b"), "images": cell("a", "b")}),
        "boxes as images": saved({"boxes": cell(_TABLE), "images": cell(_TABLE)}),
        "three columns": saved({"boxes": cell(np.ones((2, 3))), "images": cell("a")}),
        "three dimensions": saved({"boxes": cell(np.ones((2, 4, 2))), "images": cell("a")}),
        "more images than boxes": saved({"boxes": cell(_TABLE), "images": cell("a", "b")}),
        "an image twice": saved({"boxes": cell(_TABLE, _TABLE), "images": cell("a", "a")}),
        "complex numbers": saved({"boxes": _TABLE + 1j}),
        "a sparse table": saved({"boxes": scipy.sparse.csc_matrix(_TABLE)}),
        "NaN": saved({"boxes": cell(_TABLE * np.nan), "images": cell("a")}),
        "infinity": saved({"boxes": cell(_TABLE * np.inf), "images": cell("a")}),
        "negative": saved({"boxes": cell(_TABLE - 1000), "images": cell("a")}),
        "1e300": saved({"boxes": cell(_TABLE * 1e300), "images": cell("a")}),
    }


def hdf5(**more: object) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w", userblock_size=512) as made:
        made.create_dataset("boxes", data=_TABLE.T)
    return b"MATLAB 7.3 MAT-file".ljust(512, b"\0") + file.getvalue()[512:]


def false_hdf5() -> dict[str, object]:
    def huge(folder: Path) -> None:
        with h5py.File(folder / "a.mat", "w") as file:
            file.create_dataset("boxes", (4, 10**12), np.float64, chunks=(4, 1024))

    def bomb(folder: Path) -> None:
        with h5py.File(folder / "a.mat", "w") as file:
            shape = (4, 200_000_000)
            file.create_dataset("boxes", shape, np.float64, chunks=(4, 65536), compression="gzip")

    def elsewhere(folder: Path) -> None:
        with h5py.File(folder / "a.mat", "w") as file:
            file.create_dataset("boxes", (4, 4), np.float64, external=[("/etc/passwd", 0, 128)])

    def linked(folder: Path) -> None:
        with h5py.File(folder / "a.mat", "w") as file:
            file["boxes"] = h5py.ExternalLink("/etc/passwd", "/boxes")
            file["images"] = h5py.SoftLink("/images")

    def virtual(folder: Path) -> None:
        layout = h5py.VirtualLayout((4, 4), np.float64)
        layout[:] = h5py.VirtualSource("/etc/passwd", "boxes", (4, 4))
        with h5py.File(folder / "a.mat", "w") as file:
            file.create_virtual_dataset("boxes", layout)

    def in_itself(folder: Path) -> None:
        with h5py.File(folder / "a.mat", "w") as file:
            made = file.create_dataset("boxes", (1, 1), h5py.ref_dtype)
            made[0, 0] = made.ref
            made.attrs["MATLAB_class"] = np.bytes_("cell")

    def nowhere(folder: Path) -> None:
        with h5py.File(folder / "a.mat", "w") as file:
            made = file.create_dataset("boxes", (1, 3), h5py.ref_dtype)
            made.attrs["MATLAB_class"] = np.bytes_("cell")

    def to_a_group(folder: Path) -> None:
        with h5py.File(folder / "a.mat", "w") as file:
            made = file.create_dataset("boxes", (1, 1), h5py.ref_dtype)
            made[0, 0] = file.create_group("g").ref
            made.attrs["MATLAB_class"] = np.bytes_("cell")

    def doubling(folder: Path) -> None:
        with h5py.File(folder / "a.mat", "w") as file:
            inner = file.create_dataset("#refs#/a", data=np.zeros((4, 100_000)))
            for level in range(2):
                outer = file.create_dataset(f"#refs#/b{level}", (1, 1000), h5py.ref_dtype)
                outer[...] = inner.ref
                inner = outer
            file["boxes"] = inner

    def text_of_numbers(folder: Path) -> None:
        with h5py.File(folder / "a.mat", "w") as file:
            made = file.create_dataset("images", data=np.array([[-5.5e9]]))
            made.attrs["MATLAB_class"] = np.bytes_("char")

    return {
        "7.3 of 4 x 10^12": huge,
        "7.3 of 6 GB of zeros": bomb,
        "7.3 with its data in another file": elsewhere,
        "7.3 of a link to another file": linked,
        "7.3 of a virtual table": virtual,
        "7.3 of a cell in itself": in_itself,
        "7.3 of references to nothing": nowhere,
        "7.3 of a reference to a group": to_a_group,
        "7.3 of a million cells of one table": doubling,
        "7.3 of invalid characters": text_of_numbers,
    }


def _folder(folder: Path) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "b.mat").write_bytes(b"MATLAB 5.0")
