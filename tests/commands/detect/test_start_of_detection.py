"""Start-up time of detection in one image: at most one second more than torch alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Preprocessing

# Importing each takes at least 0.1 s, and detection needs none. Other libraries may import
# torchvision and pandas; random numbers on the meta device import torch._dynamo.
UNNEEDED = {
    *("torchvision", "scipy", "sklearn", "matplotlib", "pandas", "faster_coco_eval"),
    *("torch._dynamo", "sympy", "jinja2", "onnx"),
}
MOST_SECONDS = 1.0

CHILD = """
import json, sys, time
import torch
from_torch = time.process_time()
known = set(sys.modules)
from frcnn_cli.cli import cli
try:
    cli(sys.argv[1:], standalone_mode=False)
finally:
    seconds = time.process_time() - from_torch
    print(json.dumps([seconds, sorted(set(sys.modules) - known)]), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one image and a small model."""
    folder = tmp_path_factory.mktemp("one")
    architecture = Architecture(
        "efficientnet_lite0", ("a", "b"), (16, 8), Preprocessing(scale=64), pretrained=False
    )
    save_model(FastRCNN(architecture), folder / "model.safetensors", {})
    pixels = np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(folder / "one.png")
    return folder


def test_one_image_takes_at_most_a_second_more_than_torch(folder: Path) -> None:
    line = "detect one.png --model model.safetensors --viz --json found.json --device cpu"
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *line.split()], cwd=folder, capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr
    assert (folder / "found.json").is_file()
    seconds, modules = json.loads(child.stderr.splitlines()[-1])
    assert set(modules) & UNNEEDED == set()
    assert seconds < MOST_SECONDS
