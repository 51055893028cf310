"""Commands without a package that works: one error that says why and what to do, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import PIL.Image
import pytest
from broken_packages import copy_kernels, shim

import frcnn


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with proposals that need no operators."""
    folder = tmp_path_factory.mktemp("shapes")
    frcnn.generate_dataset(folder / "shapes", 8, size=(128, 96))
    return folder / "shapes"


def error_of(folder: Path, *arguments: object) -> str:
    """The error output of a command that fails. Packages in `folder`/shim come first."""
    path = os.pathsep.join([str(folder / "shim"), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "frcnn_cli.cli", *map(str, arguments)],
        cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("Error: ") == 1
    return done.stderr


def test_operators_that_cannot_be_loaded_are_no_fault_of_an_image(tmp_path: Path) -> None:
    """One error, not a warning per image and a store without proposals."""
    for name in "ab":
        PIL.Image.new("RGB", (40, 30)).save(tmp_path / f"{name}.png")
    library = copy_kernels(tmp_path) / "_cpu.so"
    library.write_bytes(b"\x7fELF, but no library")
    for workers in (1, 2):
        error = error_of(
            tmp_path, "propose", "a.png", "b.png", "--out", "x.proposals", "--workers", workers
        )
        assert f"{library} cannot be loaded with torch" in error
        assert "file too short" in error
        assert "To fix it: pip install" in error
        assert "a.png" not in error
        assert not (tmp_path / "x.proposals").exists()


def test_training_without_operators_names_the_fix(tmp_path: Path, shapes: Path) -> None:
    copy_kernels(tmp_path)
    error = error_of(
        tmp_path, "train", shapes, "--backbone", "efficientnet_lite0", "--source", "dense"
    )
    assert "The compiled operators are missing" in error
    assert "To fix it: pip install" in error


def test_a_package_that_cannot_be_imported_is_named(tmp_path: Path, shapes: Path) -> None:
    shim(tmp_path, "cv2", "raise ImportError('libGL.so.1: cannot open', name='cv2')")
    error = error_of(
        tmp_path, "train", shapes, "--backbone", "efficientnet_lite0", "--source", "dense"
    )
    assert "cv2 cannot be imported (libGL.so.1: cannot open)" in error
    assert "frcnn doctor" in error


FOREIGN_TORCHVISION = "raise RuntimeError('operator torchvision::nms does not exist')"


def test_a_torchvision_of_another_torch_is_named(tmp_path: Path, shapes: Path) -> None:
    shim(tmp_path, "torchvision", FOREIGN_TORCHVISION)
    error = error_of(tmp_path, "train", shapes, "--backbone", "torchvision:resnet18")
    assert "torchvision was built for another torch" in error
    assert "frcnn doctor" in error


def test_own_backbones_do_not_need_torchvision(tmp_path: Path) -> None:
    """The torchvision that pip finds does not fit a CPU build of torch."""
    shim(tmp_path, "torchvision", FOREIGN_TORCHVISION)
    code = (
        "from frcnn_cli.engine.models.initial import initial_model\n"
        "from frcnn_cli.engine.settings import Experiment\n"
        "initial_model(Experiment(backbone='efficientnet_lite0', weights='none'), ('cat',))\n"
    )
    path = os.pathsep.join([str(tmp_path / "shim"), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
