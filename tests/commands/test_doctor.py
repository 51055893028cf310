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
from broken_packages import copy_kernels, shim

import frcnn_kernels
from frcnn_cli.engine import doctor as checks

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
