"""`frcnn bench models`: trained models timed against each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from frcnn_cli.cli import cli
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN


def test_times_are_relative_to_the_first_model(tmp_path: Path, small_model: FastRCNN) -> None:
    files = [str(tmp_path / f"{name}.safetensors") for name in ("a", "b")]
    for file in files:
        save_model(small_model, Path(file), {})
    json_path = tmp_path / "found.json"
    options = ["--images", "1", "--rounds", "3", "--json", str(json_path)]
    done = CliRunner().invoke(cli, ["bench", "models", *files, *options])
    assert done.exit_code == 0, done.output
    first, second = json.loads(json_path.read_text())["models"]
    assert [first["model"], second["model"]] == files
    assert (first["given_ratio"], first["made_ratio"]) == (1, 1)
    assert second["given_ratio"] == pytest.approx(second["given_s"] / first["given_s"])
    # The same model twice: equal but for what a busy machine adds.
    assert 0.2 < second["given_ratio"] < 5
    # From pixels, selective search is added.
    assert all(0 < model["given_s"] < model["made_s"] for model in (first, second))


def test_a_model_that_is_not_found_ends_in_a_message(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["bench", "models", str(tmp_path / "missing.safetensors")])
    assert done.exit_code == 2
    assert "missing.safetensors: model not found" in done.output
