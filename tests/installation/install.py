"""Install the package in empty virtual environments, and run seven commands on two pictures there.

Each wheel gets an environment, and so does the source distribution, which is unpacked elsewhere and
installed as users do: torch first, then `pip install .`. Prints a table of exit codes; the exit
code is 1 if one of them is not 0. Needs the network, and 8 GB of disk unless --torch names a CPU
build.

    python tests/installation/install.py dist/*.whl dist/*.tar.gz
    python tests/installation/install.py dist/*.whl --torch torch==2.13.0+cpu torchvision
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

GENERATE = "frcnn data generate shapes --images 8"  # the smallest number
COMMANDS = (
    GENERATE,
    "frcnn propose shapes --out shapes.proposals",
    "frcnn train shapes --proposals shapes.proposals --backbone efficientnet_lite0 --scale 120"
    " --iterations 2 --out run",
    "frcnn eval run --proposals shapes.proposals",
    "frcnn compress run shapes --svd-rank 8 --proposals shapes.proposals",
    "frcnn detect shapes/JPEGImages --viz --runs .",
    "frcnn report run --proposals shapes.proposals --out report",
)
# These tests need the package and pytest. torchvision may not fit the torch that --torch names.
TESTS = (
    "python -m pytest -q tests/kernels/test_library.py tests/kernels/test_roi_pool_arguments.py"
    " tests/kernels/test_depthwise_gradient.py"
)
Codes = dict[str, int]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+", type=Path, help="wheels and source distributions")
    parser.add_argument("--torch", nargs="+", help="what to install first instead of the newest")
    parser.add_argument("--folder", type=Path, help="where to create the temporary environments")
    given = parser.parse_args(arguments)
    table: dict[str, Codes] = {}
    for file in given.files:
        with tempfile.TemporaryDirectory(prefix="frcnn-", dir=given.folder) as folder:
            print(f"{file.name}: new environment in {folder}", flush=True)
            table[file.name] = try_file(file.resolve(), Path(folder), given.torch)
        print(as_text(table), flush=True)  # each time, since the next one can take long
    return int(any(code for codes in table.values() for code in codes.values()))


def try_file(file: Path, folder: Path, torch: Sequence[str] | None) -> Codes:
    """Install a wheel or a source distribution in an empty environment; returns all exit codes."""
    environment, work = folder / "environment", folder / "work"
    work.mkdir()
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    variables = clean_variables(environment, folder)
    source = None if file.suffix == ".whl" else unpack(file, folder)
    pip = [environment / "bin" / "python", "-m", "pip", "install", "--quiet"]
    installs: list[Sequence[str | Path]] = [[*pip, source or file]]
    if source or torch:
        installs.insert(0, [*pip, *(torch or ("torch", "torchvision"))])
    codes: Codes = {}
    for command in installs:
        codes["pip install"] = run(command, work, variables)
        if codes["pip install"]:
            return codes
    for line in COMMANDS:
        codes[name_of(line)] = run(shlex.split(line), work, variables)
        if line == GENERATE and not codes[name_of(line)]:
            keep_two(work / "shapes")
    if source:
        run([*pip, "pytest"], work, variables)
        codes["pytest"] = run(shlex.split(TESTS), source, variables)
    return codes


def clean_variables(environment: Path, folder: Path) -> dict[str, str]:
    """Variables of a shell in which the environment is active, and nothing of another checkout."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "FRCNN", "VIRTUAL_ENV", "MAKE", "MFLAGS"))
    }
    path = f"{environment / 'bin'}{os.pathsep}{kept['PATH']}"
    return {**kept, "PATH": path, "FRCNN_CACHE": str(folder / "cache")}


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a source distribution. Returns its only folder."""
    with tarfile.open(archive) as opened:
        opened.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    return source


def keep_two(dataset: Path) -> None:
    """Reduce a generated dataset to its first two pictures, both in every split."""
    pictures = sorted((dataset / "JPEGImages").iterdir())
    for picture in pictures[2:]:
        picture.unlink()
        (dataset / "Annotations" / f"{picture.stem}.xml").unlink()
    for split in (dataset / "ImageSets" / "Main").iterdir():
        split.write_text("".join(f"{picture.stem}\n" for picture in pictures[:2]))


def run(command: Iterable[str | Path], folder: Path, variables: dict[str, str]) -> int:
    words = [str(word) for word in command]
    print(f"$ {shlex.join(words)}", flush=True)
    # The program is found on the PATH of the new environment, not on the present one.
    program = shutil.which(words[0], path=variables["PATH"])
    if program is None:
        print(f"{words[0]}: not found")
        return 127
    return subprocess.run([program, *words[1:]], cwd=folder, env=variables).returncode


def name_of(line: str) -> str:
    """The words of a command line before its first argument: "frcnn data generate"."""
    words = line.split()
    return " ".join(words[: 3 if words[1] == "data" else 2])


def as_text(table: dict[str, Codes]) -> str:
    """A table of exit codes: a row per command, a column per file. Commands not run have a dash."""
    names = ["pip install", *map(name_of, COMMANDS), "pytest"]
    rows = [["exit codes", *table]]
    rows += [[name, *(str(codes.get(name, "-")) for codes in table.values())] for name in names]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


if __name__ == "__main__":
    sys.exit(main())
