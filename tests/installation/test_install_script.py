"""`make test-install` and `make wheel` without installing and compiling: what they would run."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

import click
import install
import pytest
from click.testing import CliRunner

import frcnn
from frcnn_cli.cli import cli

REPOSITORY = Path(__file__).resolve().parents[2]
# A Python that records its calls, and creates what they create.
RECORDER = """#!/bin/sh
echo "FORCE_CUDA=$FORCE_CUDA $@" >> {folder}/log
label=$(echo "$@" | sed -n 's/.*--tag-build \\(+[a-z0-9]*\\) .*/\\1/p')
test -z "$label" || touch "build/wheel/frcnn-1.0$label-cp311-abi3-linux_x86_64.whl"
"""
NVCC = "#!/bin/sh\necho 'Cuda compilation tools, release 13.0, V13.0.88'\n"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that the script runs. Those with the word `fails` fail."""
    made: list[list[str]] = []

    def record(command: Iterable[str | Path], folder: Path, variables: dict[str, str]) -> int:
        made.append([Path(word).name if "/" in str(word) else str(word) for word in command])
        if "generate" in made[-1]:
            frcnn.generate_dataset(folder / "shapes", 8, size=(128, 96))
        assert "PYTHONPATH" not in variables
        return 3 if any("fails" in word for word in made[-1]) else 0

    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setattr(install, "run", record)
    monkeypatch.setattr(install.subprocess, "run", lambda *_, **__: None)  # no environments
    return made


def test_a_wheel_is_installed_by_one_command(
    tmp_path: Path, calls: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = tmp_path / "frcnn-1.0-py3-none-any.whl"
    assert install.main([str(wheel)]) == 0
    first, *others = calls
    assert first == ["python", "-m", "pip", "install", "--quiet", wheel.name]
    assert [words[0] for words in others] == ["frcnn"] * 7
    table = capsys.readouterr().out.splitlines()[-10:]
    assert table[0].split() == ["exit", "codes", wheel.name]
    assert [line.split()[-1] for line in table[1:]] == ["0"] * 8 + ["-"]


def test_a_source_distribution_is_unpacked_and_installed_after_torch(
    tmp_path: Path, calls: list[list[str]]
) -> None:
    (tmp_path / "frcnn-1.0").mkdir()
    with tarfile.open(tmp_path / "frcnn-1.0.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "frcnn-1.0", "frcnn-1.0")
    assert install.main([str(tmp_path / "frcnn-1.0.tar.gz"), "--torch", "torch==2.10"]) == 0
    assert calls[0][3:] == ["install", "--quiet", "torch==2.10"]
    assert calls[1][3:] == ["install", "--quiet", "frcnn-1.0"]
    assert calls[-1][1:3] == ["-m", "pytest"]


def test_a_failure_is_in_the_table(
    tmp_path: Path, calls: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    works, fails = tmp_path / "frcnn.whl", tmp_path / "fails.whl"
    assert install.main([str(works), str(fails)]) == 1
    rows = [line.split()[-2:] for line in capsys.readouterr().out.splitlines()[-9:]]
    assert rows == [["0", "3"], *[["0", "-"]] * 7, ["-", "-"]]
    assert sum("generate" in words for words in calls) == 1


def test_every_split_has_the_two_pictures(tmp_path: Path) -> None:
    frcnn.generate_dataset(tmp_path / "shapes", 8, size=(128, 96))
    install.keep_two(tmp_path / "shapes")
    for split in ("train", "trainval", "test"):
        assert len(frcnn.find_dataset(tmp_path / "shapes", split).images) == 2


@pytest.mark.parametrize("line", install.COMMANDS)
def test_the_commands_are_valid(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click.Command, "invoke", lambda *_: None)
    result = CliRunner().invoke(cli, shlex.split(line)[1:])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("force", ["", "0"])
def test_a_wheel_for_the_cpu_and_one_with_cuda(tmp_path: Path, force: str) -> None:
    (tmp_path / "kernels").mkdir()
    shutil.copy(REPOSITORY / "kernels" / "build_wheels.sh", tmp_path / "kernels")
    (tmp_path / "cuda" / "bin").mkdir(parents=True)
    for file, text in (
        (tmp_path / "python", RECORDER.format(folder=tmp_path)),
        (tmp_path / "cuda" / "bin" / "nvcc", NVCC),
    ):
        file.write_text(text)
        file.chmod(0o755)
    variables = {
        **os.environ,
        "PYTHON": str(tmp_path / "python"),
        "CUDA_HOME": str(tmp_path / "cuda"),
        "FORCE_CUDA": force,
    }
    subprocess.run([tmp_path / "kernels" / "build_wheels.sh"], env=variables, check=True)
    log = (tmp_path / "log").read_text().splitlines()
    built = [line.split()[0] + line.partition("--tag-build ")[2].split()[0]
             for line in log if "bdist_wheel" in line]  # fmt: skip
    assert built == ["FORCE_CUDA=0+cpu"] + ([] if force else ["FORCE_CUDA=1+cu130"])
    repaired = [line for line in log if "auditwheel repair" in line]
    assert len(repaired) == len(built)
    for line, build in zip(repaired, built, strict=True):
        assert "--exclude libtorch_cpu.so --exclude libtorch_cuda.so" in line
        assert line.endswith(f"frcnn-1.0{build.partition('+')[1]}{build.partition('+')[2]}"
                             "-cp311-abi3-linux_x86_64.whl")  # fmt: skip
    assert "sdist" in log[-1]
