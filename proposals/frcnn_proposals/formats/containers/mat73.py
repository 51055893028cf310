"""Read MATLAB v7.3 files, which are HDF5, into the same form as older files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.containers.isolated_process import IsolatedCallError, call_isolated
from frcnn_proposals.reading import open_file

_HDF5 = b"\x89HDF\r\n\x1a\n"
# MATLAB writes its own header before the HDF5 file.
_OFFSETS = (0, 512)
_ADVICE = "save it in MATLAB with save(..., '-v7')"
# Bytes that HDF5 and h5py may use in addition to the arrays.
_OWN_MEMORY = 1 << 30
# Processor time per file, and in addition per megabyte.
_SECONDS, _SECONDS_PER_MEGABYTE = 20.0, 1.0


def is_hdf5(path: Path) -> bool:
    try:
        with open_file(path) as file:
            start = file.read(max(_OFFSETS) + len(_HDF5))
    except OSError:
        return False
    return any(start[offset : offset + len(_HDF5)] == _HDF5 for offset in _OFFSETS)


def load_mat73(path: Path, limit: int) -> dict[str, NDArray[Any]]:
    """The variables of a v7.3 file: numbers as 2-D arrays, cells as object arrays.

    limit: greatest size of the variables, in bytes. HDF5 can crash on a damaged file, so it is
    called in a separate process.
    Raises InputError if h5py is not installed, or if the file is damaged or refers to other files.
    """
    try:
        import h5py  # noqa: F401 - imported once here, not in each process that reads a file
    except ImportError as error:
        raise InputError(
            f"{path}: is a MATLAB v7.3 file (HDF5), which needs h5py: pip install h5py,\n"
            f"or {_ADVICE}"
        ) from error
    seconds = _SECONDS + _SECONDS_PER_MEGABYTE * path.stat().st_size / 2**20
    try:
        return call_isolated(_read, path, limit, seconds=seconds, memory=3 * limit + _OWN_MEMORY)
    except IsolatedCallError as error:
        raise InputError(
            f"{path}: cannot be read as a MATLAB v7.3 file ({error});\n"
            f"if MATLAB can read it, {_ADVICE}"
        ) from error


def _read(path: Path, limit: int) -> dict[str, NDArray[Any]]:
    import h5py

    with h5py.File(path, "r") as file:
        names = [
            name
            for name in file
            if not name.startswith("#")
            and isinstance(file.get(name, getlink=True), h5py.HardLink)
            and isinstance(file[name], h5py.Dataset)
        ]
        reader = _Reader(file, limit)
        return {name: reader.value(file[name], depth=0) for name in names}


class _Reader:
    """Reads values from an open file, up to `limit` bytes in total."""

    def __init__(self, file: Any, limit: int) -> None:
        self._file = file
        self._left = limit

    def value(self, dataset: Any, depth: int) -> NDArray[Any]:
        """The value of an HDF5 dataset, as SciPy would return it. Raises ValueError."""
        if depth > 2:
            raise ValueError("its cells are nested too deeply")
        if dataset.external or dataset.is_virtual:
            raise ValueError("it refers to other files")
        if dataset.attrs.get("MATLAB_empty", 0):
            return np.zeros((0, 0), object if _class(dataset) == "cell" else np.float64)
        self._left -= dataset.nbytes
        if self._left < 0:
            raise ValueError("its variables are too large for the file")
        # MATLAB stores columns first, so the axes are reversed here.
        values: NDArray[Any] = dataset[()].T
        if values.dtype == object:
            filled = np.empty(values.shape, object)
            for index in np.ndindex(values.shape):
                filled[index] = self.value(self._file[values[index]], depth + 1)
            return filled
        if _class(dataset) == "char":
            return np.array(["".join(map(chr, values.ravel()))])
        return values


def _class(dataset: Any) -> str:
    name = dataset.attrs.get("MATLAB_class", b"")
    return name.decode() if isinstance(name, bytes) else str(name)
