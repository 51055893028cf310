"""The kind of file that features are written to; imports no torch."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from frcnn_cli.engine.proposals.paths import is_inside
from frcnn_proposals.errors import MisuseError

_HDF5, _NPZ = (".h5", ".hdf5"), ".npz"


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
