"""Processor time and peak memory of command lines that need no network, in child processes."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.models.presets import base_experiment
from frcnn_cli.engine.proposals.run import propose_images
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.training.run_folder import write_setting
from frcnn_proposals.errors import InputError
from frcnn_proposals.sources.dense import DenseBoxes

PYTHON = "python -c pass"
TORCH = "python -c 'import torch'"
# Arguments of `frcnn`. They are run in a folder with data/shapes (a dataset), runs/begun (a run),
# boxes.proposals (a store) and image.jpg.
LINES = (
    *("--help", "train --help", "detect --help", "eval --help", "compress --help"),
    *("report --help", "propose --help", "model info --help", "export --help", "bench --help"),
    *("runs", "config show", "config show --run runs/begun", "completion bash", "data list"),
    *("proposals inspect boxes.proposals", "train nowhere", "detect nowhere.jpg"),
)
# Runs between the benchmark and the command, since a child's peak memory is at least its
# parent's at the start.
_RUNNER = """
import json, resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, code]))
"""


@dataclass(frozen=True)
class StartUp:
    """One command line: medians of user and system seconds, and of peak memory in bytes."""

    line: str
    seconds: float
    peak_bytes: int
    exit_code: int


@dataclass(frozen=True)
class StartUpBenchmark:
    """Results of bare Python, `import torch` and the command lines, from `repeats` runs of each."""

    results: tuple[StartUp, ...]
    repeats: int


def benchmark_start_up(
    lines: Sequence[str] = LINES, repeats: int = 5, reporter: Reporter = SILENT
) -> StartUpBenchmark:
    """Run `frcnn` with each of `lines`, bare Python and `import torch`, interleaved.

    A first run of each fills the disk cache and is not counted. Raises InputError if a process is
    terminated by a signal.
    """
    commands = {PYTHON: ["-c", "pass"], TORCH: ["-c", "import torch"]}
    commands |= {f"frcnn {line}": ["-m", "frcnn_cli", *shlex.split(line)] for line in lines}
    measured: dict[str, list[tuple[float, int, int]]] = {line: [] for line in commands}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _fill(folder)
        with reporter.progress("Starting", len(commands) * (repeats + 1)) as advance:
            for repeat in range(repeats + 1):
                for line, arguments in commands.items():
                    result = _run(arguments, folder)
                    if repeat:
                        measured[line].append(result)
                    advance(1, line)
    results = []
    for line, runs in measured.items():
        seconds, peaks, codes = zip(*runs, strict=True)
        results.append(StartUp(line, median(seconds), int(median(peaks)), codes[-1]))
    return StartUpBenchmark(tuple(results), repeats)


def _fill(folder: Path) -> None:
    """Write the inputs of LINES."""
    generate_dataset(folder / "data" / "shapes", images=8, size=(96, 72))
    (folder / "runs" / "begun").mkdir(parents=True)
    write_setting(folder / "runs" / "begun", base_experiment(None))
    images = [(path.stem, path) for path in sorted((folder / "data").rglob("*.jpg"))]
    (folder / "image.jpg").write_bytes(images[0][1].read_bytes())
    propose_images(images, DenseBoxes(), folder / "boxes.proposals", workers=0)


def _run(arguments: Sequence[str], folder: Path) -> tuple[float, int, int]:
    """User plus system seconds, peak memory in bytes and exit code of one Python process."""
    done = subprocess.run(
        [sys.executable, "-c", _RUNNER, sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, peak, code = json.loads(done.stdout)
    if code < 0:
        raise InputError(f"`python {shlex.join(arguments)}` was terminated by signal {-code}.")
    return seconds, peak, code
