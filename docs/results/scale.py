"""scale.py [SMALL LARGE]: cost per image by one process, torchrun and Ray, as Markdown tables.

Detects in SMALL and in LARGE images (500 and 2,000) of 64 x 64 pixels, with the source dense and a
small untrained model, in parts. The difference of the two sizes is the cost per image without the
start-up. All engines write the same parts. The second table has the costs of listing, reading and
writing, for the arithmetic in docs/scale.md. Ray is skipped if it is not installed. Run it on an
idle machine with two cores.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from frcnn_cli.engine.benchmarks.measuring import peak_growth
from frcnn_cli.engine.datasets.inputs import find_images
from frcnn_cli.engine.distributed.shard import Shard
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_proposals.formats.parts.about import part_files
from frcnn_proposals.formats.parts.files import write_part
from frcnn_proposals.formats.parts.row import Row
from frcnn_proposals.images import read_image_bytes

SIDE = 64  # pixels of an image
PART = 50  # images
MACHINES = 1000
NAMES, FILES, MEMBERS = 1_000_000, 20_000, 10_000  # in a list, a folder and an archive
ROWS, BOXES = 500, 100  # of a part that is written
PAUSE = 0.25  # seconds between two measurements of the memory
MARK = "FRCNN_SCALE_RUN"  # in the environment of all processes of a run, including those of Ray

COMMAND = ("-m", "frcnn_cli", "-q", "detect")
# The model is not trained: with this threshold, an image has up to 100 detections.
OPTIONS = ("--source", "dense", "--score-threshold", "0", "--part-size", str(PART))
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1",
            "--nproc-per-node", "2")  # fmt: skip
ENGINES = {
    "one process": (COMMAND, ()),
    "torchrun, 2 processes": ((*TORCHRUN, *COMMAND), ()),
    "Ray, 2 workers": (COMMAND, ("--engine", "ray", "--workers", "2")),
}


class Usage(NamedTuple):
    """Seconds of a run, and the most memory in MB: of all processes, and of the largest one."""

    seconds: float
    total: float
    largest: float


def main(small: int = 500, large: int = 2000) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.manual_seed(0)
        classes = tuple(f"class{number}" for number in range(20))
        preprocessing = Preprocessing(scale=SIDE, max_size=2 * SIDE)
        architecture = Architecture("efficientnet_lite0", classes, (64, 32), preprocessing)
        save_model(FastRCNN(architecture), folder / "model.safetensors", {})
        make_images(folder, large)
        for count in (small, large):
            lines = "".join(f"images/{number:06}.jpg\n" for number in range(count))
            (folder / f"{count}.txt").write_text(lines)
        print_engines(folder, small, large)
        print_terms(folder)


def make_images(folder: Path, count: int) -> None:
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((SIDE // 8, SIDE // 8, 1)))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"images/{number:06}.jpg")


def print_engines(folder: Path, small: int, large: int) -> None:
    print(f"| | {small:,} images | {large:,} images | per image | memory | largest process |")
    print("|---|---|---|---|---|---|")
    written: dict[int, dict[str, bytes]] = {}
    for engine, (before, after) in ENGINES.items():
        if "ray" in after and find_spec("ray") is None:
            continue
        usages = []
        for count in (small, large):
            out = folder / f"{engine}-{count}"
            options = ("--model", "model.safetensors", *OPTIONS, "--parts", str(out))
            words = (*before, f"{count}.txt", *options, *after)
            usages.append(measured_run(words, folder))
            parts = {path.name: path.read_bytes() for path in part_files(out)}
            assert parts, f"{engine} wrote nothing"
            assert written.setdefault(count, parts) == parts, f"{engine} has other results"
        one, two = usages
        per_image = 1000 * (two.seconds - one.seconds) / (large - small)
        print(f"| {engine} | {one.seconds:.1f} s | {two.seconds:.1f} s | {per_image:.1f} ms "
              f"| {two.total:,.0f} MB | {two.largest:,.0f} MB |")  # fmt: skip


def measured_run(words: tuple[str, ...], folder: Path) -> Usage:
    """Run a command, and measure the memory of all of its processes while it runs."""
    mark = str(time.monotonic_ns())
    environment = {**os.environ, "OMP_NUM_THREADS": "1", MARK: mark}
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, *words], cwd=folder, env=environment, stdout=subprocess.DEVNULL
    )
    total = largest = 0.0
    while child.poll() is None:
        sizes = list(sizes_of(f"{MARK}={mark}".encode()))
        total, largest = max(total, sum(sizes)), max(largest, *sizes, 0.0)
        with suppress(subprocess.TimeoutExpired):
            child.wait(PAUSE)
    assert child.returncode == 0
    return Usage(time.perf_counter() - start, total, largest)


def sizes_of(variable: bytes) -> Iterator[float]:
    """The memory in MB of each process with this variable; shared pages are divided among them."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            if variable in (process / "environ").read_bytes().split(b"\0"):
                rollup = (process / "smaps_rollup").read_text()
                yield int(rollup.split("\nPss:")[1].split()[0]) / 1000


def print_terms(folder: Path) -> None:
    listed, archive = folder / "names", folder / "images.tar"
    listed.mkdir()
    for number in range(FILES):
        (listed / f"{number:06}.jpg").touch()
    (folder / "names.txt").write_text(
        "".join(f"a/{n // 1000:04}/{n:09}.jpg\n" for n in range(NAMES))
    )
    names = str(folder / "names.txt")
    packed = sorted((folder / "images").iterdir())
    with tarfile.open(archive, "w") as file:
        for number in range(MEMBERS):
            file.add(packed[number % len(packed)], f"{number:06}.jpg")
    members = [path for _, path in find_images([str(archive)])][::10]
    rng = np.random.default_rng(0)
    boxes = rng.uniform(0, 500, (ROWS, BOXES, 4)).astype(np.float32)
    scores = rng.random((ROWS, BOXES), np.float32)
    labels = rng.integers(1, 21, (ROWS, BOXES))
    rows = [
        Row(f"{number:09}", *row)
        for number, row in enumerate(zip(boxes, scores, labels, strict=True))
    ]
    million, thousand = 1_000_000, 1000
    kinds = ["jsonl", "parquet"] if find_spec("pyarrow") else ["jsonl"]

    print("\n| work | cost |")
    print("|---|---|")
    print(f"| a list, per million lines | {seconds(lambda: find_images([names])):.1f} s, "
          f"{peak_growth(lister, (names, None)) / 1e6:,.0f} MB |")  # fmt: skip
    shard = Shard(1, MACHINES)
    print(f"| the same, `--shard 1/{MACHINES}` | "
          f"{seconds(lambda: find_images([names], shard=shard)):.1f} s, "
          f"{peak_growth(lister, (names, shard)) / 1e6:,.0f} MB |")  # fmt: skip
    taken = seconds(lambda: find_images([str(listed)]))
    print(f"| a folder, per million files | {taken * million / FILES:.1f} s |")
    archive.touch()  # so that it is listed again
    taken = seconds(lambda: find_images([str(archive)]))
    print(f"| the names in archives, per million | {taken * million / MEMBERS:.1f} s |")
    taken = seconds(lambda: [read_image_bytes(Path(path)) for path in members])
    print(f"| the bytes of an image in an archive | {taken * thousand / len(members):.2f} ms |")
    taken = seconds(lambda: [read_image_bytes(path) for path in packed])
    print(f"| the bytes of an image file | {taken * thousand / len(packed):.2f} ms |")
    for kind in kinds:
        write_part(folder / f"first.{kind}", rows[:1])  # so that imports are not timed
        path = folder / f"part.{kind}"
        taken = seconds(lambda: write_part(path, rows))  # noqa: B023
        print(f"| a part of {ROWS} images with {BOXES} boxes each, {kind} | "
              f"{taken * thousand:.0f} ms, {path.stat().st_size / 1e6:.1f} MB |")  # fmt: skip


def lister(names: str, shard: Shard | None) -> Callable[[], object]:
    return lambda: find_images([names], shard=shard)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
