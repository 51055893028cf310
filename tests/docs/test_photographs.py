"""The photographs in docs: their credits, their size, and the script that draws on them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import PIL.Image
import torch
from documented import REPOSITORY

from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Preprocessing

IMAGES = REPOSITORY / "docs" / "images"
PHOTOS = sorted((IMAGES / "photos").iterdir())


def test_every_photograph_is_credited() -> None:
    credited = re.findall(r"^\| `photos/(\S+)` \|", (IMAGES / "CREDITS.md").read_text(), re.M)
    assert sorted(credited) == [photo.name for photo in PHOTOS]


def test_the_pictures_of_the_readme_are_small() -> None:
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", (REPOSITORY / "README.md").read_text())
    assert shown
    for file in (*(REPOSITORY / name for name in shown), *PHOTOS):
        assert file.stat().st_size < 150_000, file


def test_the_script_draws_every_photograph(tmp_path: Path) -> None:
    small = Preprocessing(scale=64, max_size=120)
    classes = ("cat", "person")
    model = FastRCNN(Architecture("efficientnet_lite0", classes, (16, 16), small))
    with torch.no_grad():
        model.score.bias[1] = 20  # every proposal is a cat
    save_model(model, tmp_path / "model.safetensors", {})
    script = REPOSITORY / "docs" / "results" / "photos.py"
    arguments = (str(tmp_path / "model.safetensors"), str(tmp_path / "out.jpg"))
    result = subprocess.run(
        [sys.executable, script, *arguments],
        cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    lines = result.stdout.splitlines()
    assert [re.findall(r"\w+", line.partition(" in ")[2])[:2] for line in lines] == [
        [photo.stem, "cat"] for photo in PHOTOS
    ]
    with PIL.Image.open(tmp_path / "out.jpg") as drawn:
        width, height = drawn.size
    widths = 0
    for photo in PHOTOS:
        with PIL.Image.open(photo) as image:
            widths += round(height * image.width / image.height)
    assert 0 < width - widths < 10 * len(PHOTOS)
