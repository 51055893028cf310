"""How the build of the CUDA operators treats toolkits: with compilers that only write files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import setuptools

REPOSITORY = Path(__file__).resolve().parents[2]
# Both log their command lines. An output contains the time of writing, so that links differ.
COMPILER = """#!/bin/sh
echo "$0 $*" >>"{log}"
while [ $# -gt 0 ]; do
    test "$1" != -o || {{ mkdir -p "$(dirname "$2")"; date +%N >"$2"; }}
    shift
done
"""
NVCC = """#!/bin/sh
case "$*" in
*--version*) echo "Cuda compilation tools, release {release}, V{release}.88" ;;
*--list-gpu-arch*) printf 'compute_75\\ncompute_80\\ncompute_90\\n{newest}\\n' ;;
*{fails_for}*) echo "host_config.h:143: error: unsupported GNU version!" >&2; exit 2 ;;
*) exec "{compiler}" "$@" ;;
esac
"""
Build = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the sources, with a torch for CUDA 13 that has nothing to link."""
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, tmp_path)
    shutil.copytree(REPOSITORY / "kernels/csrc", tmp_path / "kernels/csrc")
    packages = tmp_path / "packages"
    (packages / "torch/lib").mkdir(parents=True)
    (packages / "torch/__init__.py").touch()
    (packages / "torch/lib/libtorch_cuda.so").touch()
    (packages / "torch/version.py").write_text(
        "from typing import Optional\n__version__ = '2.14.1+cu130'\ncuda: Optional[str] = '13.0'\n"
    )
    return tmp_path


@pytest.fixture
def build(folder: Path) -> Build:
    """Run the build; keywords describe the toolkit, and are variables of the environment."""

    def run(
        release: str = "13.0",
        newest: str = "compute_120",
        fails_for: str = "never",
        mode: int = 0o755,
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        compiler, nvcc = folder / "compiler", folder / "toolkit/bin/nvcc"
        nvcc.parent.mkdir(parents=True, exist_ok=True)
        compiler.write_text(COMPILER.format(log=folder / "log"))
        nvcc.write_text(
            NVCC.format(release=release, newest=newest, fails_for=fails_for, compiler=compiler)
        )
        compiler.chmod(0o755)
        nvcc.chmod(mode)
        (folder / "log").write_text("")
        paths = [str(folder / "packages"), str(Path(setuptools.__file__).parents[1])]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "CC": str(compiler), "CXX": str(compiler), "LDSHARED": str(compiler),
            "LDCXXSHARED": str(compiler), "CUDA_HOME": str(folder / "toolkit"),
            **variables,
        }  # fmt: skip
        for name in {"FORCE_CUDA", "FRCNN_CUDA_ARCHS"} - set(variables):
            environment.pop(name, None)
        command = [sys.executable, "setup.py", "build_ext", "--build-lib", "built",
                   "--build-temp", "objects"]  # fmt: skip
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)

    return run


def library(folder: Path) -> Path:
    return folder / "built/frcnn_kernels/_cuda.so"


def targets(folder: Path, source: str = "nms.cu") -> list[str]:
    """What nvcc generated from a source: "sm_80" is machine code, "compute_90" is PTX."""
    lines = (folder / "log").read_text().splitlines()
    (line,) = (line for line in lines if f"cuda/{source}" in line and " -c " in line)
    return [word.rpartition("code=")[2] for word in line.split() if word.startswith("-gencode")]


def test_every_architecture_that_the_toolkit_knows_and_code_for_newer_gpus(
    folder: Path, build: Build
) -> None:
    done = build()
    assert done.returncode == 0, done.stderr
    machine_code = ["sm_75", "sm_80", "sm_90", "sm_120"]
    assert targets(folder) == [*machine_code, "compute_90", "compute_120"]
    assert build(newest="compute_100").returncode == 0
    assert targets(folder) == [*machine_code[:3], "compute_90"]
    assert build(FRCNN_CUDA_ARCHS="86;89").returncode == 0
    assert targets(folder) == ["sm_86", "sm_89", "compute_89"]


@pytest.mark.parametrize("change", ["cuda/nms.cu", "cuda/launch.h", "compute_type.h", None])
def test_the_library_is_linked_again_after_a_change(
    folder: Path, build: Build, change: str | None
) -> None:
    """Of a kernel, of a header, and of the list of architectures."""
    assert build().returncode == 0
    before = library(folder).read_text()
    variables = {}
    if change is None:
        variables = {"FRCNN_CUDA_ARCHS": "90"}
    else:
        source = folder / "kernels/csrc" / change
        source.write_text(source.read_text() + "\n// changed\n")
    assert build(**variables).returncode == 0
    assert library(folder).read_text() != before


@pytest.mark.parametrize(
    ("toolkit", "problem"),
    [
        ({"release": "12.8"}, "has CUDA 12, and torch is built for CUDA 13: set CUDA_HOME"),
        ({"fails_for": "probe.cu"}, "cannot compile C++20 with this host compiler "
         "(host_config.h:143: error: unsupported GNU version!): set CUDA_HOME"),
        ({"mode": 0o644}, "nvcc cannot be executed (Permission denied): set CUDA_HOME"),
    ],
)  # fmt: skip
def test_a_toolkit_that_does_not_fit_skips_the_cuda_operators(
    folder: Path, build: Build, toolkit: dict[str, Any], problem: str
) -> None:
    done = build(**toolkit)
    assert done.returncode == 0, done.stderr
    assert "Skipping the CUDA operators: " in done.stdout
    assert problem in done.stdout
    assert not library(folder).exists()
    assert (folder / "built/frcnn_kernels/_cpu.so").exists()
    forced = build(**toolkit, FORCE_CUDA="1")
    assert forced.returncode != 0
    assert f"FORCE_CUDA=1, but {'the toolkit' if 'release' in toolkit else ''}" in forced.stderr
    assert problem in forced.stderr


def test_a_torch_without_cuda_skips_the_cuda_operators(folder: Path, build: Build) -> None:
    (folder / "packages/torch/lib/libtorch_cuda.so").unlink()
    done = build()
    assert done.returncode == 0, done.stderr
    assert "Skipping the CUDA operators: the installed torch is a CPU build" in done.stdout
    assert build(FORCE_CUDA="1").returncode != 0


def test_a_kernel_that_does_not_compile_is_an_error(folder: Path, build: Build) -> None:
    """It is not a reason to skip the CUDA operators."""
    done = build(fails_for="nms.cu")
    assert done.returncode != 0
    assert "could not compile kernels/csrc/cuda/nms.cu" in done.stderr
