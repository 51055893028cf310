"""Sources of other packages: every command treats them alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import plugins
import pytest
import torch
from called import frcnn as command

import frcnn
from frcnn_cli.engine.detection.videos.frames import Frame
from frcnn_cli.engine.detection.videos.run import detect_frames
from frcnn_cli.engine.models.loaded import open_model
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.source_calls import SourceCalls
from frcnn_cli.engine.settings import Architecture, DetectSettings, Preprocessing
from frcnn_proposals.store.reader import open_store

FAILING = (plugins.ReturnsNone, plugins.Exits, plugins.ExitsAtOnce)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, an untrained model, and a folder of images; the source misbehaves for b.png."""
    folder = tmp_path_factory.mktemp("plugins")
    frcnn.generate_dataset(folder / "shapes", 8, size=(128, 96))
    torch.manual_seed(0)
    small = Preprocessing(scale=64, max_size=120)
    classes = frcnn.find_dataset(folder / "shapes", "test").classes
    model = FastRCNN(Architecture("efficientnet_lite0", classes, (16, 16), small))
    save_model(model, folder / "model.safetensors", {})
    (folder / "images").mkdir()
    for index, name in enumerate("abc"):
        pixels = np.random.default_rng(index).integers(0, 200, (60, 90, 3), np.uint8)
        pixels[0, 0] = 255 if name == "b" else 0
        PIL.Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
    return folder


@pytest.fixture(autouse=True)
def at_home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "300")
    plugins.install(monkeypatch)


def detect(source: str, out: Path, *more: str, code: int = 0) -> tuple[str, dict[str, list[Any]]]:
    """The output of `frcnn detect`, and the boxes by image id, if there is a file."""
    result = command(
        "detect", "images", "--model", "model.safetensors", "--source", source,
        "--score-threshold", 0, "--json", out, *more,
    )  # fmt: skip
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    found: dict[str, list[Any]] = {}
    for entry in json.loads(out.read_text()):
        found.setdefault(entry["image_id"], []).append((entry["bbox"], entry["score"]))
    return " ".join(result.output.split()), found


@pytest.mark.parametrize("kind", FAILING)
def test_a_failure_costs_one_image_in_every_command(
    kind: type[plugins.Plugin], tmp_path: Path
) -> None:
    name = kind.__name__.lower()
    message = f"images/b.png: {plugins.FAILING[kind]}"
    proposed = command("propose", "images", "--source", name, "--out", tmp_path / "a.proposals")
    assert proposed.exit_code == 1
    assert message in " ".join(proposed.output.split())
    assert list(open_store(tmp_path / "a.proposals")) == ["a", "c"]
    output, found = detect(name, tmp_path / "found.json", code=1)
    assert message in output
    assert list(found) == ["a", "c"]
    detector = frcnn.Detector.load("model.safetensors", source=name)
    files = detector.detect_files("images")
    assert list(files.detections) == ["a", "c"]
    assert message in files.failures[0]
    with pytest.raises(frcnn.Error, match=r"b\.png: ") as caught:
        detector.detect(["images/a.png", "images/b.png"])
    assert message in str(caught.value)
    pixels = np.array(PIL.Image.open("images/b.png"))
    with pytest.raises(frcnn.Error) as caught:
        detector.detect(pixels)
    assert str(caught.value).startswith(f"the image: {plugins.FAILING[kind]}")


def test_a_failing_frame_is_named() -> None:
    loaded = open_model(Path("model.safetensors"), Path("runs"), torch.device("cpu"), "float32")
    images = [np.full((60, 90, 3), value, np.uint8) for value in (0, 255)]
    frames = iter([Frame(index, 0.0, image) for index, image in enumerate(images)])
    calls = SourceCalls(plugins.Exits())
    found = detect_frames(loaded.model, frames, calls, DetectSettings(), 2)
    assert next(found)[0].index == 0
    with pytest.raises(frcnn.Error, match=r"^frame 1: exits failed \(SystemExit: 3\)"):
        next(found)
    calls.close()


def test_clipped_boxes_are_counted_in_every_command(tmp_path: Path) -> None:
    message = "2 boxes of outside reached outside the image and were clipped or removed."
    out = tmp_path / "a.proposals"
    proposed = command("propose", "images", "--source", "outside", "--out", out)
    assert proposed.exit_code == 0, proposed.output
    assert message in " ".join(proposed.output.split())
    assert open_store(out)["b"].boxes.tolist() == [[0, 2, 89, 7], [1, 2, 3, 4]]
    output, found = detect("outside", tmp_path / "computed.json")
    assert message in output
    read = command(
        "detect", "images", "--model", "model.safetensors", "--proposals", out,
        "--score-threshold", 0, "--json", tmp_path / "read.json",
    )  # fmt: skip
    assert read.exit_code == 0, read.output
    assert (tmp_path / "read.json").read_text() == (tmp_path / "computed.json").read_text()
    for box, _ in found["b"]:
        assert min(box) >= 0
        assert box[0] + box[2] <= 90
    warned: list[str] = []
    detector = frcnn.Detector.load("model.safetensors", source="outside")
    detector.detect(["images/a.png", "images/b.png"], progress=lambda p: warned.append(p.text))
    assert message in warned


def test_a_source_that_draws_does_not_change_detections(tmp_path: Path) -> None:
    _, drawn = detect("drawsintotheimage", tmp_path / "drawn.json")
    _, plain = detect("plugin", tmp_path / "plain.json")
    assert drawn == plain


def test_a_file_and_a_source_contradict_each_other(tmp_path: Path) -> None:
    out = tmp_path / "a.proposals"
    command("propose", "images", "--source", "plugin", "--out", out)
    for words in ("detect images --model model.safetensors", "eval model.safetensors shapes"):
        for more in (("--source", "grid"), ("--param", "cells=3")):
            result = command(*words.split(), "--proposals", out, *more)
            assert result.exit_code == 2
            assert "(--source, --param): give only one" in " ".join(result.output.split())
    with pytest.raises(frcnn.Error, match="give only one"):
        frcnn.Detector.load("model.safetensors", proposals=out, parameters={"cells": 3})


def test_an_image_without_boxes_has_no_detections(tmp_path: Path) -> None:
    _, found = detect("nothing", tmp_path / "found.json")
    assert sorted(found) == ["a", "c"]
    result = command("propose", "images", "--source", "nothing", "--out", tmp_path / "a.proposals")
    assert result.exit_code == 0, result.output
    assert len(open_store(tmp_path / "a.proposals")["b"]) == 0


def test_the_output_is_written_where_the_command_started(home: Path, tmp_path: Path) -> None:
    """The images are relative paths too, and one worker reads several of them."""
    detect("moves", Path("found.json"))
    assert (home / "found.json").exists()
    out = tmp_path / "a.proposals"
    result = command("propose", "images", "--source", "moves", "--out", out, "--workers", 1)
    assert result.exit_code == 0, result.output
    (home / "found.json").unlink()


def test_a_source_without_parameters_in_json_is_one_error_everywhere() -> None:
    for words in (
        "propose images --out x.proposals",
        "detect images --model model.safetensors",
        "eval model.safetensors shapes",
        "train shapes --backbone efficientnet_lite0 --weights none --scale 64 --iterations 1",
    ):
        result = command(*words.split(), "--source", "notjson")
        assert result.exit_code == 1, result.output
        assert "source 'notjson': its parameters must be a dictionary" in result.output
        assert "Traceback" not in result.output


def test_parameters_of_the_source_in_every_command(tmp_path: Path) -> None:
    _, found = detect("grid", tmp_path / "two.json")
    _, found_by_three = detect("grid", tmp_path / "three.json", "--param", "cells=3")
    assert found != found_by_three
    run = tmp_path / "run"
    trained = command(
        "train", "shapes", "--backbone", "efficientnet_lite0", "--weights", "none", "--scale", 64,
        "--iterations", 1, "--source", "grid", "--param", "cells=3", "--precision", "float32",
        "--out", run,
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    used = [3]  # by training
    assert cells_in_cache(tmp_path) == used
    for source, cells in (((), 3), (("--source", "grid", "--param", "cells=5"), 5)):
        result = command("eval", run, "shapes", "--split", "test", *source)
        assert result.exit_code == 0, result.output
        used = sorted({*used, cells})
        assert cells_in_cache(tmp_path) == used
    wrong = command("eval", run, "shapes", "--param", "cells")
    assert wrong.exit_code == 2
    assert "--param must be NAME=VALUE, not 'cells'" in wrong.output
    wrong = command("eval", run, "shapes", "--param", "size=3")
    assert wrong.exit_code == 2
    assert "its parameters: cells=2" in wrong.output


def cells_in_cache(folder: Path) -> list[int]:
    """The parameters of the sources that have computed proposals into the cache."""
    stores = [open_store(path) for path in (folder / "cache").rglob("*.proposals")]
    return sorted({store.provenance.parameters["cells"] for store in stores})
