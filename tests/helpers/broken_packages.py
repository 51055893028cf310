"""Packages that come before the installed ones: put `FOLDER/shim` at the front of the path."""

from __future__ import annotations

import shutil
from pathlib import Path

import frcnn_kernels


def shim(folder: Path, package: str, code: str) -> None:
    """Create a package with this code."""
    target = folder / "shim" / package
    target.mkdir(parents=True)
    (target / "__init__.py").write_text(code)


def copy_kernels(folder: Path) -> Path:
    """Copy frcnn_kernels without its libraries. Returns the folder of the copy."""
    source, target = Path(frcnn_kernels.__file__).parent, folder / "shim" / "frcnn_kernels"
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    return target
