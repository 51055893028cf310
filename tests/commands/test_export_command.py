"""`frcnn export`: the file, its JSON, and misuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from frcnn_cli.cli import cli
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture


def export(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["export", *map(str, arguments)])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    backbone = find_backbone("caffenet")
    model = FastRCNN(Architecture("caffenet", ("a", "b"), (8, 8), backbone.preprocessing))
    save_model(model, tmp_path / "runs" / "one" / "model.safetensors", {})
    return tmp_path / "runs" / "one"


def test_the_newest_runs_model_is_exported_for_torch(run: Path, tmp_path: Path) -> None:
    done = export("--runs", run.parent, "--format", "torch-export", "--json", tmp_path / "e.json")
    assert done.exit_code == 0, done.output
    values = json.loads((tmp_path / "e.json").read_text())
    assert values["exported"] == str(run / "model.pt2")
    assert values["bytes"] == (run / "model.pt2").stat().st_size
    assert max(values["largest_difference"].values()) <= 1e-3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "torch-export", "--plain"], "always uses basic operators"),
        (["--format", "onnx", "--out", "a.pt2"], "must end in .onnx"),
        (["--format", "tflite"], "is not one of"),
        (["--score-threshold", "0.3"], "--score-threshold has no effect without --with-nms"),
        (["--box-voting", "0.3"], "--box-voting has no effect without --with-nms"),
        (["--with-nms", "--score-threshold", "1.5"], "a probability must be from 0 to 1"),
    ],
)
def test_misuse_is_rejected(run: Path, options: list[str], words: str) -> None:
    done = export(run, *options)
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())


def test_the_error_for_a_damaged_model_names_it(tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(b"no model")
    done = export(path)
    assert done.exit_code == 1
    assert "bad.safetensors" in done.output
    assert len(done.output.strip().splitlines()) <= 4
