"""The releases of torch that test_abi.sh installs, seen by a python that only records its calls."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
RECORDER = """#!/bin/sh
echo "$@" >> {log}
if [ "$2" = venv ]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; fi
"""


def requirements_of(setup_cfg: str, folder: Path) -> list[str]:
    """What the script asks pip to install beside the wheel, per environment."""
    (folder / "kernels").mkdir()
    shutil.copy(REPOSITORY / "kernels" / "test_abi.sh", folder / "kernels")
    (folder / "setup.cfg").write_text(setup_cfg)
    log, recorder = folder / "log", folder / "python"
    recorder.write_text(RECORDER.format(log=log))
    recorder.chmod(0o755)
    subprocess.run(
        ["sh", "kernels/test_abi.sh", "a.whl"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHON": str(recorder)},
        check=True,
        capture_output=True,
    )
    calls = log.read_text().splitlines()
    assert calls.count("-m pytest -q -p no:cacheprovider tests/kernels") == 2
    assert calls.count("-m pip install --quiet --no-deps a.whl") == 2
    assert not list((folder / "build" / "abi").iterdir())  # two environments take 14 GB
    return re.findall(r"^-m pip install --quiet (torch.*)$", log.read_text(), re.MULTILINE)


def test_the_oldest_that_is_supported_and_the_newest(tmp_path: Path) -> None:
    setup_cfg = (REPOSITORY / "setup.cfg").read_text()
    assert "torch>=2.10\n" in setup_cfg
    assert requirements_of(setup_cfg, tmp_path) == [
        "torch==2.10 torchvision numpy pytest",
        "torch torchvision numpy pytest",
    ]


def test_without_an_oldest_release_it_stops(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        requirements_of("[options]\ninstall_requires =\n    torch\n", tmp_path)
    assert b"setup.cfg has no line torch>=VERSION" in error.value.stderr


def test_the_library_is_compiled_for_the_oldest_release() -> None:
    """TORCH_TARGET holds major and minor in its two highest bytes."""
    target = re.search(
        r"^TORCH_TARGET = (0x[0-9A-F_]+)$", (REPOSITORY / "setup.py").read_text(), re.M
    )
    assert target is not None
    number = int(target[1].replace("_", ""), 16)
    assert f"torch>={number >> 56}.{number >> 48 & 255}\n" in (REPOSITORY / "setup.cfg").read_text()
