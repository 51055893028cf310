"""The compiled libraries: their dependencies, and the messages if one is missing or broken."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import frcnn_kernels
from frcnn_kernels import _library


def test_a_missing_library_is_an_error_that_explains_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_library, "CPU_LIBRARY", tmp_path / "_cpu.so")
    with pytest.raises(
        ImportError, match=r"operators are missing: .*_cpu\.so\.\nTo fix it: pip install"
    ):
        _library.load_operators()


def test_a_broken_library_is_an_error_with_the_reason_of_the_linker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "_cpu.so"
    broken.write_bytes(b"\x7fELF, but no library")
    monkeypatch.setattr(_library, "CPU_LIBRARY", broken)
    expected = f"{broken} cannot be loaded with torch .*: .*file too short\nTo fix it: pip install "
    with pytest.raises(ImportError, match=expected):
        _library.load_operators()


def test_a_library_that_needs_a_newer_torch_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_library, "CPU_LIBRARY", tmp_path / "_cpu.so")
    _library.CPU_LIBRARY.write_bytes(b"")
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.raises(ImportError, match=r"To fix it: pip install -U torch torchvision$"):
        _library.load_operators()


@pytest.mark.parametrize(
    ("files", "command"),
    [
        (("setup.py",), "pip install --no-build-isolation --no-deps -e {folder}"),
        ((), "pip install --force-reinstall --no-deps frcnn-*.tar.gz"),
    ],
)
def test_the_build_command_fits_a_checkout_and_an_installed_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...], command: str
) -> None:
    monkeypatch.setattr(_library, "HERE", tmp_path / "kernels" / "frcnn_kernels")
    for name in files:
        (tmp_path / name).touch()
    assert _library.build_command().startswith(command.format(folder=tmp_path))


def test_the_cpu_library_needs_no_gpu_library_and_no_python() -> None:
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("readelf is not installed")
    dynamic = subprocess.run(
        [readelf, "-d", str(_library.CPU_LIBRARY)], capture_output=True, text=True, check=True
    )
    assert "libtorch_cpu.so" in dynamic.stdout
    assert "cuda" not in dynamic.stdout
    assert "python" not in dynamic.stdout


def test_each_copy_of_the_kernels_uses_the_vectors_of_its_instruction_set() -> None:
    objdump = shutil.which("objdump")
    if objdump is None or platform.machine() != "x86_64":
        pytest.skip("objdump is not installed, or this is not an x86 processor")
    command = [objdump, "--disassemble", "--no-show-raw-insn", str(_library.CPU_LIBRARY)]
    code = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kernels = [part for part in code.split("\n\n") if "nms_one_class" in part.split("\n", 1)[0]]
    if not kernels:
        pytest.skip("the library was stripped of its symbols")
    widest = [max(re.findall(r"%([xyz]mm)\d", kernel)) for kernel in kernels]
    assert sorted(widest) == ["xmm", "ymm", "zmm"]


def test_the_build_lists_its_gpu_architectures() -> None:
    built = frcnn_kernels.cuda_architectures()
    if not _library.CUDA_LIBRARY.exists() or torch.version.cuda is None:
        assert built == ()
        pytest.skip("the CUDA operators were not built: no nvcc, or torch is a CPU build")
    print(f"CUDA operators built for: {', '.join(built)}")
    assert all(architecture.isdigit() for architecture in built)
