"""The script of docs/export.md, which detects without this package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from small_detector import Complete, proposals_in
from test_exported_models import page_script, script

from frcnn_cli.cli import cli
from frcnn_proposals.base import Proposals
from frcnn_proposals.images import read_image
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.writer import StoreWriter

# Runs the page's script where the packages of this repository, torch and OpenCV are missing.
WITHOUT = """
import runpy, sys
names = ["torch", "cv2", "frcnn", "frcnn_cli", "frcnn_kernels", "frcnn_proposals"]
sys.modules.update(dict.fromkeys(names))
runpy.run_path("run_onnx.py", run_name="__main__")
"""


def test_images_of_one_row() -> None:
    model = {"preprocessing": {"scale": 480, "max_size": 800, "resize": "uint8"}}
    image = np.zeros((1, 5000, 3), np.uint8)
    inputs = script()["inputs_for"](model, image, np.zeros((0, 4)))
    assert inputs["image"].shape == (1, 800, 3)
    assert inputs["boxes"].shape == (0, 4)


def test_boxes_of_one_image_are_read_best_first(tmp_path: Path) -> None:
    """From the columns that `frcnn proposals convert` writes, with and without scores."""
    read = script()["read_boxes"]
    path = tmp_path / "boxes.csv"
    path.write_text(
        "image,x1,y1,x2,y2,score\na,0,0,1,1,0.1\nsub/a,7,7,8,8,0.9\na,2,2,3,3.5,0.8\n"
        "a,4,4,5,5,0.8\nempty,,,,,\nplain,1,1,2,2,\nplain,0,0,2,2,\n"
    )
    assert read(path, Path("a.jpg")).tolist() == [[2, 2, 3, 3.5], [4, 4, 5, 5], [0, 0, 1, 1]]
    assert read(path, Path("sub/a.png"))[0].tolist() == [7, 7, 8, 8]
    assert read(path, Path("plain.jpg")).tolist() == [[1, 1, 2, 2], [0, 0, 2, 2]]
    assert read(path, Path("empty.jpg")).shape == (0, 4)
    with pytest.raises(SystemExit, match="no row of image b"):
        read(path, Path("b.jpg"))


def test_the_script_prints_the_detections_without_this_package(
    complete: Complete, tmp_path: Path, shared_data: Path
) -> None:
    """The page's script as it stands, with a CSV of `frcnn proposals convert`.

    Also for an image that a camera has stored on its side, and for one without boxes.
    """
    (tmp_path / "run_onnx.py").write_text(page_script())
    turned = Image.open(shared_data / "fast-rcnn-demo" / "000004.jpg")
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    Image.new("RGB", (40, 30)).save(tmp_path / "none.png")
    boxes = proposals_in(read_image(tmp_path / "turned.png"), 60)
    with StoreWriter(tmp_path / "a.proposals", Provenance("test")) as store:
        store.add("turned", Proposals(boxes))
        store.add("none", Proposals(boxes[:0]))
        store.finish()
    given = ["proposals", "convert", str(tmp_path / "a.proposals"), str(tmp_path / "boxes.csv")]
    assert CliRunner().invoke(cli, given).exit_code == 0

    def run(image: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT, complete.onnx, image, "boxes.csv"],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    expected = complete.detector.detect(tmp_path / "turned.png", boxes)
    found = run("turned.png")
    assert len(found) == len(expected) > 0
    for line in found:
        name, _, shown = line.split(maxsplit=2)
        same_class = expected.boxes[np.array(expected.names) == name]
        assert np.abs(same_class - json.loads(shown)).max(axis=1).min() <= 1
    assert run("none.png") == []
