"""What test_portable.sh skips and how it compiles; recording programs stand in for compilers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = ("cat", "cp", "dirname", "env", "mkdir", "rm", "sed", "sh")
RECORDER = """#!/bin/sh
echo "$CXX $CFLAGS $LDFLAGS: $@" >> {log}
if [ "$2" = --quiet ]; then mkdir -p "$5/frcnn_kernels"; fi
exit {code}
"""


def run(folder: Path, *commands: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the script in a copy of the repository, on a path with these commands only."""
    (folder / "kernels/frcnn_kernels").mkdir(parents=True)
    (folder / "kernels/frcnn_kernels/nms.py").touch()
    (folder / "bin").mkdir()
    shutil.copy(REPOSITORY / "kernels/test_portable.sh", folder / "kernels")
    shutil.copy(REPOSITORY / "setup.cfg", folder)
    for tool in TOOLS:
        (folder / "bin" / tool).symlink_to(str(shutil.which(tool)))
    for command in ("python", *commands):
        (folder / "bin" / command).write_text(RECORDER.format(log=folder / "log", code=code))
        (folder / "bin" / command).chmod(0o755)
    return subprocess.run(
        ["sh", "kernels/test_portable.sh", "gcc", "clang", "aarch64"],
        cwd=folder,
        env={"PATH": str(folder / "bin"), "PYTHON": "python"},
        capture_output=True,
        text=True,
    )


def test_without_a_compiler_each_part_is_skipped(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == [
        "skipped: GCC (g++ is not installed)",
        "skipped: Clang (clang++ is not installed)",
        "skipped: ARM (aarch64-linux-gnu-g++ is not installed)",
    ]


def test_warnings_and_missing_symbols_are_errors(tmp_path: Path) -> None:
    found = run(tmp_path, "clang++")
    assert found.returncode == 0, found.stderr
    calls = (tmp_path / "log").read_text().splitlines()
    assert calls[0].startswith("clang++ -Werror  -Wl,-z,defs : setup.py --quiet build_ext ")
    assert any(": -m pytest -q " in call for call in calls)
    assert "clang: tests passed" in found.stdout


def test_a_build_that_fails_ends_the_script(tmp_path: Path) -> None:
    assert run(tmp_path, "g++", code=1).returncode != 0
