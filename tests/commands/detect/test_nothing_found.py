"""Without a detection, the highest score below the threshold is given."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

import frcnn
from frcnn_cli.cli import cli
from frcnn_cli.commands.detect.output import nothing_found
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Detections, highest
from frcnn_cli.engine.settings import Architecture, Preprocessing


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with two images and an untrained model."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    small = Preprocessing(scale=64, max_size=120)
    model = FastRCNN(Architecture("efficientnet_lite0", ("circle", "square"), (24, 16), small))
    save_model(model, tmp_path / "runs" / "small" / "model.safetensors", {})
    for name in ("a", "b"):
        Image.new("RGB", (96, 72), "grey").save(tmp_path / f"{name}.png")
    return tmp_path


def detect(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["detect", "a.png", "b.png", "--source", "dense", *arguments])
    assert result.exit_code == 0, result.output
    return result


def test_the_highest_score_is_given(home: Path) -> None:
    found = frcnn.Detector.load("small", source="dense", score_threshold=0.0)
    best = max(float(found.detect(f"{name}.png").scores[0]) for name in ("a", "b"))
    result = detect("--score-threshold", "0.97")
    assert f"the highest score is {best:.3f}, below the threshold of 0.97" in result.stderr
    assert "--score-threshold" in result.stderr
    assert "Classes that were looked for: circle, square." in result.stderr
    assert "highest" not in detect("--score-threshold", "0.0").output


def test_the_score_of_other_classes_is_not_given(home: Path) -> None:
    result = detect("--score-threshold", "0.97", "--classes", "circle")
    assert "No detections." in result.stderr
    assert "Classes that were looked for: circle." in result.stderr
    assert "highest" not in result.output


def test_unknown_scores_are_skipped() -> None:
    assert highest([None, 0.2, None, 0.4]) == 0.4
    assert highest([None]) is None
    assert highest([Detections().best_rejected]) is None


def test_a_model_with_many_classes_names_some() -> None:
    names = [f"class {number}" for number in range(80)]
    told = nothing_found(None, 0.5, names)
    assert told.startswith("No detections.\nClasses that were looked for: class 0, class 1, ")
    assert told.endswith(", class 24 and 55 more.")


def test_a_score_below_the_threshold_is_not_rounded_up_to_it() -> None:
    assert "highest score is 0.499, below the threshold of 0.5." in nothing_found(0.4996, 0.5, "a")
    assert "highest score is -0.001, below the threshold of 0." in nothing_found(-1e-5, 0.0, "a")
