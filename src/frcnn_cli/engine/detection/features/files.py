"""Files of features, written in blocks, so that memory does not depend on their sizes.

This module does not import torch, so that a wrong file name is an error before it is loaded.

A file of all images has the boxes of all images in one array per field; pos_boxes has the first and
the last row, exclusive, of each image. A file of one image has its boxes only.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.detection.features.rows import Block, Field, ImageRows, read_rows, row_path
from frcnn_cli.engine.proposals.paths import is_inside
from frcnn_proposals.errors import InputError, MisuseError, reason
from frcnn_proposals.files import sync_folder, unfinished_file, whole_file

_HDF5, _NPZ = (".h5", ".hdf5"), ".npz"
_DATE = (1980, 1, 1, 0, 0, 0)  # the same in every file, so that equal arrays are equal bytes


@dataclass(frozen=True)
class Array:
    """An array of known shape whose rows come in blocks."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    blocks: Iterable[NDArray[Any]]


def whole(name: str, values: Any) -> Array:
    """An array that is in memory."""
    array = np.asarray(values)
    return Array(name, array.dtype, array.shape, (array,))


def is_hdf5(path: Path) -> bool:
    """Whether the file is written as HDF5; otherwise it is an .npz file."""
    return path.suffix.lower() in _HDF5


def is_folder(out: Path) -> bool:
    """Whether the output is a folder with one .npz file per image."""
    return out.is_dir() or out.suffix.lower() not in (*_HDF5, _NPZ)


def check_output(out: Path, proposals: Path | None = None) -> None:
    """Raise MisuseError if the format of `out` is unknown or needs a missing package.

    proposals: a file or folder that must not be in the folder `out`.
    """
    if is_folder(out):
        if out.suffix and not out.is_dir():
            raise MisuseError(
                f"{out}: the suffix decides the format: .h5, .npz, or none for a folder of .npz "
                "files."
            )
        if out.is_file():
            raise MisuseError(f"{out}: is a file, not a folder. Choose another name.")
        if proposals is not None and is_inside(proposals, out):
            raise MisuseError(f"{out}: contains the proposals. Choose another folder.")
    elif is_hdf5(out) and find_spec("h5py") is None:
        raise MisuseError(
            f"{out}: HDF5 needs the package h5py: pip install h5py, or write to .npz."
        )


def image_file(folder: Path, image_id: str) -> Path:
    """The file of an image in a folder of features."""
    return folder / f"{image_id}.npz"


def write_image(
    path: Path,
    image_id: str,
    rows: ImageRows,
    fields: Mapping[str, Field],
    blocks: Iterator[Block],
) -> None:
    """Write the file of one image. Only its features are not held in memory."""
    others: dict[str, list[NDArray[Any]]] = {name: [] for name in fields if name != "features"}

    def features() -> Iterator[NDArray[Any]]:
        for block in blocks:
            for name, parts in others.items():
                parts.append(block[name])
            yield block["features"]

    def array(name: str, parts: Iterable[NDArray[Any]]) -> Array:
        return Array(name, fields[name].dtype, (rows.count, *fields[name].shape), parts)

    arrays = [
        whole("image_id", image_id),
        whole("image_w", rows.width),
        whole("image_h", rows.height),
        whole("num_boxes", rows.count),
        array("features", features()),  # first: the others are known when it is written
        *(array(name, parts) for name, parts in others.items()),
    ]
    write_arrays(path, arrays)


def write_images(
    path: Path,
    images: Mapping[str, ImageRows],
    fields: Mapping[str, Field],
    classes: Sequence[str] | None,
) -> None:
    """Write one file of all images, in their order.

    images: the rows by image id. classes: names; None without class scores.
    """
    counts = np.array([rows.count for rows in images.values()], np.int64)
    ends = np.cumsum(counts)

    def blocks(name: str) -> Iterator[NDArray[Any]]:
        for rows in images.values():
            yield from read_rows(row_path(rows.journal, name), fields[name], rows)

    total = int(counts.sum())
    arrays = [
        whole("image_id", np.array(list(images), np.str_)),
        whole("image_w", np.array([rows.width for rows in images.values()], np.int64)),
        whole("image_h", np.array([rows.height for rows in images.values()], np.int64)),
        whole("num_boxes", counts),
        whole("pos_boxes", np.stack([ends - counts, ends], axis=1)),
        *([] if classes is None else [whole("classes", np.array(classes, np.str_))]),
        *(
            Array(name, field.dtype, (total, *field.shape), blocks(name))
            for name, field in fields.items()
        ),
    ]
    write_arrays(path, arrays)


def write_arrays(path: Path, arrays: Iterable[Array]) -> None:
    """Write a complete .h5 or .npz file, or none."""
    (_write_hdf5 if is_hdf5(path) else _write_npz)(path, arrays)


def _write_npz(path: Path, arrays: Iterable[Array]) -> None:
    """As np.savez writes it, without holding an array in memory."""
    with whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for array in arrays:
            entry = zipfile.ZipInfo(f"{array.name}.npy", _DATE)
            with archive.open(entry, "w", force_zip64=True) as member:
                header = {
                    "descr": np.lib.format.dtype_to_descr(array.dtype),
                    "fortran_order": False,
                    "shape": array.shape,
                }
                np.lib.format.write_array_header_1_0(member, header)
                for block in array.blocks:
                    member.write(np.ascontiguousarray(block, array.dtype).tobytes())


def _write_hdf5(path: Path, arrays: Iterable[Array]) -> None:
    import h5py

    with unfinished_file(path) as unfinished:
        try:
            # unfinished_file holds the lock that HDF5 would ask for.
            with h5py.File(unfinished, "w", locking=False) as file:
                for array in arrays:
                    _add_dataset(file, array)
            os.replace(unfinished, path)
            sync_folder(path.parent)
        except (OSError, RuntimeError) as error:  # HDF5 raises both on a full disk
            raise InputError(f"{path}: cannot be written ({reason(error)})") from error


def _add_dataset(file: Any, array: Array) -> None:
    """Add an array to an open HDF5 file; texts become variable-length strings."""
    import h5py

    is_text = array.dtype.kind == "U"
    dtype = h5py.string_dtype() if is_text else array.dtype
    target = file.create_dataset(array.name, array.shape, dtype, track_times=False)
    for start, block in _with_starts(array.blocks):
        values = block.astype(object) if is_text else block
        if array.shape:
            target[start : start + len(block)] = values
        else:
            target[()] = values


def _with_starts(blocks: Iterable[NDArray[Any]]) -> Iterator[tuple[int, NDArray[Any]]]:
    start = 0
    for block in blocks:
        yield start, block
        start += len(block) if block.ndim else 1
