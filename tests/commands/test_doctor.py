"""`frcnn doctor` on machines with a missing or broken part, simulated in a child process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from broken_packages import copy_kernels, shim

import frcnn_kernels
from frcnn_cli.engine import doctor as checks
from frcnn_kernels import _library

PROGRAM = [sys.executable, "-m", "frcnn_cli.cli", "doctor", "--json", "doctor.json"]
# The disk of the machine that runs the tests may be nearly full.
MUCH_FREE_SPACE = (
    "import shutil; shutil.disk_usage = lambda _: shutil._ntuple_diskusage(10**12, 0, 10**12)"
)


def doctor(folder: Path, *arguments: str) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Return exit code, findings by name and output. Packages in `folder`/shim come first."""
    path = os.pathsep.join([str(folder / "shim"), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "FRCNN_DATA": str(folder), "COLUMNS": "100"}
    done = subprocess.run(
        [*PROGRAM, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr, done.stderr
    values = json.loads((folder / "doctor.json").read_text())
    assert values["ready"] == (done.returncode == 0)
    findings = {finding["name"]: finding for finding in values["findings"]}
    return done.returncode, findings, done.stdout


def test_a_complete_machine_is_ready(tmp_path: Path) -> None:
    shim(tmp_path, "sitecustomize", MUCH_FREE_SPACE)
    code, found, text = doctor(tmp_path)
    assert code == 0, text
    assert "Ready." in text
    assert str(Path(frcnn_kernels.__file__).parent / "_cpu.so") in found["operators, CPU"]["text"]
    assert {"Python", "torch", "torchvision", "OpenCV", "CUDA", "cores", "memory", "disk"} <= set(
        found
    )
    assert found["datasets"]["fix"].startswith("frcnn data download voc2007")
    assert len(text.splitlines()) <= 40  # one screen


def test_missing_operators_are_reported_and_other_checks_run(tmp_path: Path) -> None:
    copy_kernels(tmp_path)
    code, found, text = doctor(tmp_path)
    assert code == 1
    assert found["operators, CPU"]["problem"]
    assert "operators are missing" in found["operators, CPU"]["text"]
    assert "pip install --force-reinstall --no-deps frcnn-*.tar.gz" in text
    assert not found["torch"]["problem"]


def test_a_broken_library_is_reported(tmp_path: Path) -> None:
    (copy_kernels(tmp_path) / "_cpu.so").write_bytes(b"\x7fELF, but no library")
    code, found, _ = doctor(tmp_path)
    assert code == 1
    assert "cannot be loaded with torch" in found["operators, CPU"]["text"]
    assert "file too short" in found["operators, CPU"]["text"]
    assert found["operators, CPU"]["fix"].startswith("pip install --force-reinstall --no-deps")


@pytest.mark.parametrize(
    ("package", "code", "name", "words", "fix"),
    [
        ("torch", "raise ImportError('libtorch.so: no such file')", "torch", "libtorch.so",
         "pip install torch torchvision"),
        ("torch", "__version__ = '2.9.1'\nclass version: cuda = None", "torch", "2.10 or later",
         "pip install -U torch"),
        ("torchvision", "import torch\ntorch.__version__ = '2.13.0+cu130'\n"
         "torch.version.cuda = '13.0'\nraise RuntimeError('torchvision::nms does not exist')",
         "torchvision", "nms",
         "pip uninstall -y torchvision && pip install torch==2.13.0 torchvision"),
        ("torchvision", "import torch\ntorch.__version__ = '2.13.0+cpu'\n"
         "torch.version.cuda = None\nraise RuntimeError('torchvision::nms does not exist')",
         "torchvision", "nms",
         "pip install torch==2.13.0 torchvision --extra-index-url https://download.pytorch.org/"),
        ("cv2", "__version__ = '4.9'", "OpenCV", "without ximgproc",
         "pip uninstall -y opencv-python"),
        ("cv2", "raise ImportError('libGL.so.1')", "OpenCV", "libGL.so.1",
         "&& pip install opencv-contrib-python-headless"),
    ],
)  # fmt: skip
def test_a_broken_package_is_reported(
    tmp_path: Path, package: str, code: str, name: str, words: str, fix: str
) -> None:
    shim(tmp_path, package, code)
    exit_code, found, text = doctor(tmp_path)
    assert exit_code == 1
    assert found[name]["problem"]
    assert words in found[name]["text"]
    assert fix in found[name]["fix"]
    assert fix in text
    assert not found["cores"]["problem"]


def test_datasets_are_listed_with_their_problems(tmp_path: Path) -> None:
    (tmp_path / "pets" / "Annotations").mkdir(parents=True)
    (tmp_path / "pets" / "JPEGImages").mkdir()
    (tmp_path / "pets" / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "pets" / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    _, found, _ = doctor(tmp_path, "--data-root", str(tmp_path))
    assert "pets" in found["dataset"]["text"]


def test_memory_is_reported_where_the_system_does_not_count_unused_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """macOS has no SC_AVPHYS_PAGES."""
    missing, sysconf = "SC_AVPHYS_PAGES", os.sysconf
    names = {name: number for name, number in os.sysconf_names.items() if name != missing}
    assert len(names) < len(os.sysconf_names)
    monkeypatch.setattr(os, "sysconf_names", names)
    monkeypatch.setattr(os, "sysconf", lambda name: sysconf(names[name]))
    memory = next(finding for finding in checks.examine() if finding.name == "memory")
    assert re.fullmatch(r"\d+\.\d GiB", memory.text)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two simulated GPUs; the operators are built for 80 and 90, and run on the CPU."""
    run = checks._operator_results
    for name, value in {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "get_device_name": lambda index: f"GPU number {index}",
        "get_device_capability": lambda index: ((8, 9), (10, 3))[index],
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(_library, "cuda_architectures", lambda: ("80", "90"))
    monkeypatch.setattr(checks, "_operator_results", lambda device: run("cpu"))


def test_each_kind_of_operator_runs_on_each_gpu(two_gpus: None) -> None:
    findings = list(checks._gpus())
    assert [finding.name for finding in findings] == ["GPU 0", "GPU 1"]
    assert not any(finding.problem for finding in findings)
    assert findings[0].text == ("compute capability 8.9: the operators agree with those of the CPU")
    results = checks._operator_results("cpu")
    assert results["roi_pool"].flatten().tolist() == [5, 7, 13, 15, 9, 10, 13, 14]
    assert results["its gradient"].flatten().tolist() == (
        [0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 2, 1, 1]
    )
    assert results["nms"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        ("CUDA error: the provided PTX was compiled with an unsupported toolchain.", "update the"),
        ("CUDA driver version is insufficient for CUDA runtime version", "update the GPU driver"),
        ("CUDA error: no kernel image is available", "FRCNN_CUDA_ARCHS=103 FORCE_CUDA=1 pip "),
    ],
)
def test_a_gpu_on_which_an_operator_fails_is_a_problem_with_its_fix(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch, error: str, fix: str
) -> None:
    run = checks._operator_results

    def fail(device: str) -> dict[str, Any]:
        if device == "cuda:1":
            raise RuntimeError(f"{error}\nCompile with TORCH_USE_CUDA_DSA")
        return run(device)

    monkeypatch.setattr(checks, "_operator_results", fail)
    first, second = checks._gpus()
    assert not first.problem
    assert second.problem
    assert second.text == f"compute capability 10.3: {error}"
    assert second.fix.startswith(fix)


def test_a_gpu_with_other_results_is_a_problem(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = checks._operator_results
    wrong = {"nms": torch.tensor([0])}
    monkeypatch.setattr(
        checks, "_operator_results", lambda device: run(device) | (wrong if device != "cpu" else {})
    )
    assert all(finding.problem for finding in checks._gpus())
    assert "the results of nms differ from those of the CPU" in next(checks._gpus()).text


@pytest.mark.parametrize(
    ("capability", "architectures", "served"),
    [
        (75, ("80", "90"), False),
        (89, ("80", "90"), True),  # machine code of 80
        (86, ("89", "90"), False),
        (103, ("75", "80", "90", "120"), True),  # PTX of 90
        (121, ("75", "80", "90", "120"), True),
        (103, ("80", "120"), False),
        (130, ("80",), True),  # PTX of the last one
        (90, ("80", "90a"), True),
        (100, ("80", "90a"), False),
        (89, ("80", "90a"), True),  # machine code of 80
        (103, ("90a", "100f"), True),  # the same major version
        (120, ("90a", "100f"), False),
    ],
)
def test_a_build_serves_gpus_by_machine_code_and_by_ptx(
    capability: int, architectures: tuple[str, ...], served: bool
) -> None:
    assert checks._is_served(capability, architectures) == served


@pytest.mark.parametrize("architectures", [("80", "gfx90"), None])
def test_a_failing_check_of_the_gpus_is_a_problem(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch, architectures: tuple[str, ...] | None
) -> None:
    """As of the other parts. None: the function is missing in the library."""
    monkeypatch.setattr(checks, "_cuda_operators", lambda: checks.Finding("operators, CUDA", ""))
    if architectures is None:
        monkeypatch.delattr(_library, "cuda_architectures")
    else:
        monkeypatch.setattr(_library, "cuda_architectures", lambda: architectures)
    *_, gpus = [finding for finding in checks.examine() if "GPU" in finding.name]
    assert (gpus.name, gpus.problem) == ("GPUs", True)
    assert gpus.text


def test_a_build_without_code_for_a_gpu_is_a_problem(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_library, "cuda_architectures", lambda: ("100", "120"))
    first, second = checks._gpus()
    assert first.problem
    assert first.text == "compute capability 8.9: the operators are built for 100, 120"
    assert first.fix.startswith("FRCNN_CUDA_ARCHS=89 FORCE_CUDA=1 pip install ")
    assert not second.problem


@pytest.mark.parametrize(
    ("driver", "problem"), [(12080, "the GPU driver is for CUDA 12.8, "), (13000, ""), (0, "")]
)
def test_a_driver_that_is_too_old_for_torch_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, driver: int, problem: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(checks, "_driver_version", lambda: driver)
    finding = checks._cuda()
    assert finding.problem == bool(problem)
    assert finding.text.startswith(problem or "torch finds no GPU")
    assert not problem or finding.fix == (
        "update the GPU driver, or install a torch that is built for CUDA 12"
    )
