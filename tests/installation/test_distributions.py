"""What a build needs: the files of the source distribution, and the torch that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import setuptools

REPOSITORY = Path(__file__).resolve().parents[2]
# What pip's build isolation does: packages of the environment are hidden by the first module
# that Python imports.
HIDE_PACKAGES = (
    "import sys\nsys.path[:] = [path for path in sys.path if 'site-packages' not in path]\n"
)


def test_the_source_distribution_holds_every_file(tmp_path: Path) -> None:
    """Without CUDA too, which the list of sources to compile depends on."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("this is not a checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True)
    files = {name for name in listed.stdout.splitlines() if (REPOSITORY / name).exists()}
    assert "kernels/csrc/cuda/nms.cu" in files
    subprocess.run(
        [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", tmp_path,
         "sdist", "--dist-dir", tmp_path],
        cwd=REPOSITORY, env={**os.environ, "FORCE_CUDA": "0"}, capture_output=True, check=True,
    )  # fmt: skip
    (archive,) = tmp_path.glob("frcnn-*.tar.gz")
    with tarfile.open(archive) as opened:
        held = {name.partition("/")[2] for name in opened.getnames()}
    assert sorted(files - held) == []
    assert [name for name in held if name.endswith((".so", ".pyc"))] == []


def environment(folder: Path, version: str | None, torchvision: bool) -> Path:
    """The Python of a new environment with setuptools, and a torch that has only a version."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "new"], check=True)
    (packages,) = (folder / "new").glob("lib/python*/site-packages")
    if version is not None:
        (packages / "torch").mkdir()
        (packages / "torch" / "__init__.py").write_text("raise ImportError('not to be imported')")
        (packages / "torch" / "version.py").write_text(f"__version__ = '{version}'\n")
    if torchvision:
        (packages / "torchvision").mkdir()
        (packages / "torchvision" / "__init__.py").touch()
    installed = Path(setuptools.__file__).parents[1]
    for part in (installed / "_distutils_hack", *installed.glob("setuptools*")):
        shutil.copytree(part, folder / "isolated" / part.name)
    (folder / "isolated" / "sitecustomize.py").write_text(HIDE_PACKAGES)
    return folder / "new" / "bin" / "python"


def metadata(
    folder: Path, version: str | None, torchvision: bool = True
) -> subprocess.CompletedProcess[str]:
    """Prepare the metadata of a wheel in an isolated build, the first step of `pip install .`."""
    python = environment(folder, version, torchvision)
    variables = {**os.environ, "PYTHONPATH": str(folder / "isolated"), "FORCE_CUDA": "0"}
    command = [python, "setup.py", "-q", "dist_info", "--output-dir", folder]
    return subprocess.run(command, cwd=REPOSITORY, env=variables, capture_output=True, text=True)


def test_an_isolated_build_uses_the_installed_torch(tmp_path: Path) -> None:
    done = metadata(tmp_path, "2.10.0+cpu")
    assert done.returncode == 0, done.stderr
    (info,) = tmp_path.glob("frcnn-*.dist-info")
    assert "Requires-Dist: torch>=2.10\n" in (info / "METADATA").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("version", "state"),
    [(None, "which is not installed for "), ("2.9.1+cu128", "which is too old (2.9.1+cu128 in ")],
)
def test_a_build_without_torch_gives_the_command_that_works(
    tmp_path: Path, version: str | None, state: str
) -> None:
    """Before pip downloads any dependency."""
    done = metadata(tmp_path, version)
    assert done.returncode == 1
    assert f"compiled against torch 2.10 or later, {state}{tmp_path}" in done.stderr
    install = "pip install 'torch>=2.10' torchvision 'setuptools>=77'"
    assert f"{install} && pip install --no-build-isolation ." in done.stderr
    assert not list(tmp_path.glob("frcnn-*.dist-info"))


@pytest.mark.parametrize(
    ("version", "requirements"),
    [
        ("2.13.0+cpu", "'torch==2.13.0' torchvision 'setuptools>=77'"
         " --extra-index-url https://download.pytorch.org/whl/cpu"),
        ("2.13.0", "'torch==2.13.0' torchvision 'setuptools>=77'"),
        ("2.13.0a0+git5c4886", "'torch==2.13.0a0' torchvision 'setuptools>=77'"),
    ],
)  # fmt: skip
def test_without_torchvision_the_installed_torch_is_kept(
    tmp_path: Path, version: str, requirements: str
) -> None:
    """pip would install the newest torchvision, and another torch for it."""
    done = metadata(tmp_path, version, torchvision=False)
    assert done.returncode == 1
    assert f"torchvision is not installed for {tmp_path}" in done.stderr
    assert f"pip install {requirements} && pip install --no-build-isolation ." in done.stderr
    assert not list(tmp_path.glob("frcnn-*.dist-info"))


def test_a_build_on_windows_names_wsl(tmp_path: Path) -> None:
    code = (
        "import runpy, setuptools, sys, sysconfig; sysconfig.get_config_vars(); "
        "sys.platform = 'win32'; "
        f"sys.argv = ['setup.py', '-q', 'dist_info', '--output-dir', {str(tmp_path)!r}]; "
        "runpy.run_path('setup.py')"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1
    assert "cannot be compiled on Windows. Install frcnn in WSL" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("compiler", "state"),
    [
        ("missing-g++", "missing-g++ is not installed"),
        ("false", "false could not compile the operators"),
    ],
)
def test_a_build_without_a_compiler_that_works_names_what_does(
    tmp_path: Path, compiler: str, state: str
) -> None:
    command = [sys.executable, "setup.py", "-q", "build_ext",
               "--build-lib", tmp_path, "--build-temp", tmp_path]  # fmt: skip
    variables = {**os.environ, "CC": compiler, "CXX": compiler, "FORCE_CUDA": "0"}
    done = subprocess.run(command, cwd=REPOSITORY, env=variables, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert state in done.stderr
    assert "GCC 11 or later" in done.stderr
    assert "A wheel needs no compiler: pip install " in done.stderr


def test_no_torch_is_downloaded_for_the_build() -> None:
    """An isolated build installs what this list names, whatever is installed."""
    import tomllib

    values = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert values["build-system"]["requires"] == ["setuptools>=77"]
