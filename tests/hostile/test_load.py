"""100,000 images, an image of 900 million pixels, and 50,000 boxes on one image."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from bad_images import encoded, noise
from children import Children

from frcnn_proposals.base import Proposals
from frcnn_proposals.formats import write_proposals
from frcnn_proposals.store.reader import open_store

IMAGES = int(os.environ.get("FRCNN_LOAD_IMAGES", "100000"))

# Prints the peak memory (MiB) of the process that distributes the images and writes the store,
# the sum for its workers, and its processor time in seconds: after a tenth of the images, and
# just before the last image, when the workers still exist. (The peak of getrusage includes that
# of the parent process.)
PROPOSE = """
import json, multiprocessing, re, sys, time
from pathlib import Path
from frcnn_cli.engine.datasets.inputs import find_images
from frcnn_cli.engine.proposals.run import propose_images
from frcnn_proposals.sources.dense import DenseBoxes
from frcnn_proposals.store.reader import open_store

def peak(process):
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 1024

def report(done):
    workers = sum(peak(worker.pid) for worker in multiprocessing.active_children())
    print(json.dumps([done, peak("self"), workers, time.process_time() - started]), flush=True)

if __name__ == "__main__":
    folder, out, images = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    files = find_images([folder])[:images]
    marks = {images // 10, images - 10}
    started = time.process_time()
    propose_images(files, DenseBoxes(step=0.5), out, workers=2,
                   on_progress=lambda at: at.done in marks and report(at.done))
    started = time.process_time()
    for number, boxes in enumerate(open_store(out).values(), start=1):
        if number in marks:
            report(number)
"""


@pytest.mark.long
def test_memory_and_speed_are_constant_over_all_images(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for number in range(IMAGES):
        if number % 1000 == 0:
            (folder / f"{number // 1000:03}").mkdir(parents=True)
        # Every image is different, because a store identifies images by their bytes.
        content = _IMAGE + number.to_bytes(8, "big")
        (folder / f"{number // 1000:03}" / f"{number:06}.png").write_bytes(content)
    (tmp_path / "run.py").write_text(PROPOSE)
    arguments = [tmp_path / "run.py", folder, tmp_path / "out", IMAGES]
    run = [sys.executable, *map(str, arguments)]
    output = subprocess.run(run, stdout=subprocess.PIPE, check=True, text=True).stdout
    rows = [json.loads(line) for line in output.splitlines()]
    print(rows)  # shown with -s
    assert [done for done, *_ in rows] == [IMAGES // 10, IMAGES - 10] * 2
    assert rows[0][2] > 20  # workers existed and were measured
    for (_, peak, workers, seconds), (_, last_peak, last_workers, last_seconds) in (
        rows[:2],
        rows[2:],
    ):
        assert last_peak <= 1.1 * peak
        assert last_workers <= 1.1 * workers
        # The speed over the last nine tenths, compared with the first tenth.
        assert last_seconds - seconds <= 9 * seconds * 1.25


_IMAGE = encoded(noise(size=(32, 32)), "PNG")


@pytest.mark.hostile
def test_an_image_above_the_limit_is_rejected_until_the_limit_is_raised(
    children: Children, tmp_path: Path
) -> None:
    noise(size=(64, 48)).save(tmp_path / "a.png")
    command = ["propose", "a.png", "--source", "dense", "--out", "o", "--workers", 1]
    rejected = children.run([*command, "--max-pixels", 64 * 48 - 1], tmp_path)
    assert rejected.code == 1
    assert "a.png: 64 x 48 pixels are over the limit of 3071" in rejected.output
    assert "--max-pixels" in rejected.output
    assert children.run([*command, "--max-pixels", 64 * 48], tmp_path).code == 0


@pytest.mark.long
def test_900_million_pixels(children: Children, tmp_path: Path) -> None:
    PIL.Image.new("1", (30_000, 30_000)).save(tmp_path / "a.png")
    few_boxes = ["--param", "scales=[3000]", "--param", "step=0.5"]
    command = ["propose", "a.png", "--source", "dense", *few_boxes, "--out", "o", "--workers", 1]
    rejected = children.run(command, tmp_path, megabytes=1024)
    assert rejected.code == 1
    assert "a.png: has far more pixels than the limit of 100000000" in rejected.output
    more = {"megabytes": 12_000, "seconds": 600.0}
    raised = children.run([*command, "--max-pixels", 900_000_000], tmp_path, **more)
    assert raised.code == 0, raised.output
    assert open_store(tmp_path / "o").image_size("a") == (30_000, 30_000)


@pytest.mark.hostile
def test_50_000_boxes_on_one_image(children: Children, home: Path, tmp_path: Path) -> None:
    noise(size=(500, 375)).save(tmp_path / "a.png")
    corners = np.random.default_rng(0).uniform(0, [400, 300], (50_000, 2))
    boxes = np.concatenate((corners, corners + np.array([60, 50])), axis=1).astype(np.float32)
    write_proposals(tmp_path / "a.proposals", {"a": Proposals(boxes)}, "store")
    model = home / "model.safetensors"
    found = children.run(
        ["detect", "a.png", "--proposals", "a.proposals", "--model", model, "--json", "a.json"],
        tmp_path,
        megabytes=4096,
        seconds=600,
    )
    assert found.code == 0, found.output
    assert found.peak < 2500
    assert json.loads((tmp_path / "a.json").read_text()) is not None
    inspected = children.run(["proposals", "inspect", "a.proposals"], tmp_path)
    assert "50,000" in inspected.output
