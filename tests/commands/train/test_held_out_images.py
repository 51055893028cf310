"""`frcnn train --val-share`: images that a run holds out, on datasets with one split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from called import frcnn

from frcnn_cli.engine.models.store import load_model
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.settings.overrides import override, read_toml

FEW = ["--scale", 64, "--workers", 0, "--weights", "none", "--source", "dense"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with the split all only."""
    folder = tmp_path_factory.mktemp("home") / "shapes"
    made = frcnn("data", "generate", folder, "--images", 12, "--size", 96, 64)
    assert made.exit_code == 0, made.output
    lists = folder / "ImageSets" / "Main"
    ids = "".join((lists / f"{split}.txt").read_text() for split in ("train", "val", "test"))
    for path in lists.iterdir():
        path.unlink()
    (lists / "default.txt").write_text(ids)
    return folder


def test_a_run_is_evaluated_on_the_images_that_it_holds_out(data: Path, tmp_path: Path) -> None:
    run, scores, lists = tmp_path / "run", tmp_path / "scores.json", tmp_path / "lists"
    given = ["--val-share", 0.3, "--epochs", 1, "--eval-every", 2]
    result = frcnn("train", data, "--out", run, *FEW, *given)
    output = " ".join(result.output.split())
    assert result.exit_code == 0, output
    assert "no images are left" not in output
    assert "`frcnn eval` scores it" in output
    split = frcnn("data", "split", data, lists, "--val-share", 0.3)
    assert split.exit_code == 0, split.output
    train, val = ((lists / f"{side}.txt").read_text().split() for side in ("train", "val"))
    assert sorted(train + val) == sorted(
        (data / "ImageSets" / "Main" / "default.txt").read_text().split()
    )
    held_out = "1 image is" if len(val) == 1 else f"{len(val)} images are"
    assert f"{len(train)} images to train on; {held_out} held out as split all:val:0.3" in output
    saved = override(Experiment(), read_toml(run / "setting.toml"))
    assert (saved.data.split, saved.data.val_share) == ("all", 0.3)
    assert saved.train.schedule.iterations == -(-len(train) // 2)
    assert len((run / "evaluations.jsonl").read_text().splitlines()) >= 1
    for arguments in ([], [data], [data, "--split", lists / "val.txt"]):
        result = frcnn("eval", run, *arguments, "--source", "dense", "--json", scores)
        assert result.exit_code == 0, result.output
        found = json.loads(scores.read_text())
        assert (found["counts"]["images"], found["trained_on"]) == (len(val), 0), found
    _, origin = load_model(run / "model.safetensors")
    assert origin["experiment"]["data"]["val_share"] == 0.3


def test_without_held_out_images_the_way_to_hold_some_out_is_named(
    data: Path, tmp_path: Path
) -> None:
    result = frcnn("train", data, "--out", tmp_path / "run", *FEW, "--iterations", 1)
    output = " ".join(result.output.split())
    assert result.exit_code == 0, output
    assert "no images are left for evaluation. --val-share 0.2 holds out a fifth" in output
    assert "frcnn eval" not in output


def test_training_on_a_list(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting has the path of the list, the model its name."""
    monkeypatch.chdir(tmp_path)
    assert frcnn("data", "split", data, "lists").exit_code == 0
    run = tmp_path / "run"
    given = ["--split", "lists/train.txt", "--iterations", 1]
    result = frcnn("train", data, "--out", run, *FEW, *given)
    assert result.exit_code == 0, result.output
    saved = override(Experiment(), read_toml(run / "setting.toml"))
    assert saved.data.split == str(tmp_path / "lists/train.txt")
    assert load_model(run / "model.safetensors")[1]["experiment"]["data"]["split"] == "train.txt"
