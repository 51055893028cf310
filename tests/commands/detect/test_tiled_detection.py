"""`frcnn detect --tile`: outputs of a large image, and values that have no effect."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from called import frcnn as command
from small_package import small_model

import frcnn
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.settings import TileSettings

DETECT = ("--model", "model.safetensors", "--source", "dense", "--param", "step=0.6")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained model, a large and a small image."""
    folder = tmp_path_factory.mktemp("tiled")
    save_model(small_model(), folder / "model.safetensors", {})
    for name, size in (("large", (200, 150)), ("small", (60, 50))):
        pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{name}.jpg")
    return folder


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


def test_outputs_are_in_pixels_of_the_image(tmp_path: Path) -> None:
    found, viz = tmp_path / "found.json", tmp_path / "viz"
    result = command(
        *("detect", "large.jpg", *DETECT, "--score-threshold", 0.1, "--no-box-regression"),
        *("--tile", 64, "--top-k", 500, "--json", found, "--viz", "--out", viz),
        *("--save-crops", tmp_path / "crops"),
    )
    assert result.exit_code == 0, result.output
    assert "not larger" not in result.output
    boxes = np.array([entry["bbox"] for entry in json.loads(found.read_text())])
    # Windows of dense are 32 pixels or larger: in all parts of the image, also the last tile.
    assert boxes[:, 0].max() > 150
    assert (boxes[:, 0] + boxes[:, 2]).max() <= 200
    assert (boxes[:, 1] + boxes[:, 3]).max() <= 150
    assert PIL.Image.open(viz / "large.jpg").size == (200, 150)
    assert sum(1 for path in (tmp_path / "crops").rglob("*.jpg")) == len(boxes)


def test_images_that_are_not_larger_than_a_tile_are_reported(tmp_path: Path) -> None:
    result = command("detect", "small.jpg", *DETECT, "--tile", 60)
    assert result.exit_code == 0, result.output
    message = "The image is not larger than a tile of 60 x 60 pixels: tiles have no effect there."
    assert message in " ".join(result.output.split())
    result = command("detect", "large.jpg", "small.jpg", *DETECT, "--tile", 64)
    assert result.exit_code == 0, result.output
    assert "1 of 2 images is not larger than a tile of 64 x 64" in " ".join(result.output.split())


def test_the_same_report_in_python() -> None:
    reports: list[str] = []
    detector = frcnn.Detector.load("model.safetensors", tile=64, source="dense")
    detector.detect("small.jpg", progress=lambda report: reports.append(str(report)))
    detector.detect(["large.jpg", "small.jpg"], progress=lambda report: reports.append(str(report)))
    warnings = [report for report in reports if report.startswith("Warning")]
    assert len(warnings) == 2
    assert warnings[0].startswith("Warning: The image is not larger than a tile")
    assert warnings[1].startswith("Warning: 1 of 2 images is not larger than a tile")


def test_settings_of_tiles_can_be_changed() -> None:
    detector = frcnn.Detector.load("model.safetensors", tile=64, overlap=0.5, source="dense")
    other = detector.with_settings(tile=100)
    assert other.options.tiles == TileSettings(100, 0.5)
    whole = detector.with_settings(tile=None, overlap=None)
    plain = frcnn.Detector.load("model.safetensors", source="dense")
    assert whole.detect("large.jpg") == plain.detect("large.jpg")
    with pytest.raises(frcnn.Error, match=r"overlap of tiles is 1; .* in 0\.\.0\.9"):
        detector.with_settings(overlap=1)


def test_features_are_those_of_the_whole_image() -> None:
    tiled = frcnn.Detector.load("model.safetensors", tile=64, source="dense")
    plain = frcnn.Detector.load("model.safetensors", source="dense")
    ours, theirs = tiled.features("large.jpg"), plain.features("large.jpg")
    np.testing.assert_array_equal(ours.boxes, theirs.boxes)


@pytest.mark.parametrize("source", ["tracked", "dense+tracked"])
def test_a_source_that_remembers_frames_has_no_tiles(source: str) -> None:
    """It would take the tiles of one frame for several frames."""
    with pytest.raises(frcnn.Error, match=r"uses earlier frames, and cannot be used in tiles"):
        frcnn.Detector.load("model.safetensors", tile=64, source=source)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--tile 0", "The side of a tile is 0 pixels; it must be in 32..100000."),
        ("--tile 640 --overlap 1", "The overlap of tiles is 1; it is a share of their side"),
        ("--overlap 0.3", "An overlap of tiles has no effect without their side: also give --tile"),
        ("--tile half", "'half' is not a valid integer"),
    ],
)
def test_invalid_values(options: str, message: str) -> None:
    result = command("detect", "large.jpg", *DETECT, *options.split())
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    lines = [line for line in result.output.splitlines() if not line.startswith(("Usage", "Try"))]
    assert len(list(filter(None, lines))) <= 2
