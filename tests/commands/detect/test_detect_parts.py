"""`--parts` and `--shard` of detect, propose and eval: files that are complete or absent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from called import frcnn

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.detection.results import coco_entries
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.parts import run as run_of_parts
from frcnn_cli.engine.parts.result import PartsResult
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_proposals.formats import read_proposals
from frcnn_proposals.formats.parts.about import part_files
from frcnn_proposals.formats.parts.files import read_part
from frcnn_proposals.formats.parts.row import Row

MODEL = ("--model", "model.safetensors", "--source", "dense", "--score-threshold", "0.12")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, an untrained model of its classes, and a model of other classes."""
    folder = tmp_path_factory.mktemp("home")
    generate_dataset(folder / "shapes", images=16, size=(128, 96))
    classes = find_dataset(str(folder / "shapes"), "trainval").classes
    small = Preprocessing(scale=64, max_size=120)
    for seed, name in enumerate(("model", "other")):
        torch.manual_seed(seed)
        model = FastRCNN(Architecture("efficientnet_lite0", classes, (16, 16), small))
        save_model(model, folder / f"{name}.safetensors", {})
    return folder


@pytest.fixture(autouse=True)
def at_home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("FRCNN_CACHE", str(home / "cache"))


def run(*arguments: object, code: int = 0) -> str:
    result = frcnn(*arguments)
    assert result.exit_code == code, result.output
    return result.output


def rows_in(folder: Path) -> list[Row]:
    return [row for path in part_files(folder) for row in read_part(path)]


def found_in(row: Row) -> Detections:
    return Detections(row.boxes, row.scores, row.labels)


def entries(rows: list[Row], classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """The detections as `detect --json` writes them."""
    return [
        entry
        for row in sorted(rows, key=lambda row: row.image_id)
        for entry in coco_entries(
            row.image_id, Detections(row.boxes, row.scores, row.labels), classes
        )
    ]


@pytest.fixture(scope="module")
def expected(home: Path) -> list[dict[str, Any]]:
    file = home / "detections.json"
    run("detect", home / "shapes/JPEGImages", "--model", home / "model.safetensors", *MODEL[2:],
        "--json", file)  # fmt: skip
    found = json.loads(file.read_text())
    assert len(found) > 16
    return found


@pytest.fixture(scope="module")
def classes(home: Path) -> tuple[str, ...]:
    return tuple(find_dataset(str(home / "shapes"), "trainval").classes)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_parts_are_the_json_file(
    kind: str, expected: list[dict[str, Any]], classes: tuple[str, ...], tmp_path: Path
) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    command = ("detect", "shapes/JPEGImages", *MODEL, "--parts", tmp_path / "out",
               "--format", kind, "--part-size", 5)  # fmt: skip
    assert "16 images in 4 parts (0 already written)" in run(*command)
    assert entries(rows_in(tmp_path / "out"), classes) == expected
    assert "0 images in 0 parts (4 already written)" in run(*command)
    about = json.loads((tmp_path / "out/parts.json").read_text())
    assert about["classes"] == list(classes)


def test_shards_are_all_images(
    expected: list[dict[str, Any]], classes: tuple[str, ...], tmp_path: Path
) -> None:
    for index in (1, 2, 3):
        run("detect", "shapes/JPEGImages", *MODEL, "--parts", tmp_path, "--shard", f"{index}/3")
    assert entries(rows_in(tmp_path), classes) == expected
    run("detect", "shapes/JPEGImages", *MODEL, "--shard", "2/3", "--json", tmp_path / "two.json")
    of_two = {row.image_id for path in part_files(tmp_path) if "2of3" in path.name
              for row in read_part(path)}  # fmt: skip
    two = json.loads((tmp_path / "two.json").read_text())
    assert two == [entry for entry in expected if entry["image_id"] in of_two]
    assert 0 < len(of_two) < 16


def test_a_bad_image_is_a_row_and_another_model_is_rejected(tmp_path: Path) -> None:
    images = tmp_path / "images"
    shutil.copytree("shapes/JPEGImages", images)
    (images / "000004.jpg").write_bytes(b"nothing")
    command = ["detect", images, *MODEL, "--parts", tmp_path / "out"]
    assert "000004.jpg: cannot be read as an image" in run(*command, code=1)
    rows = rows_in(tmp_path / "out")
    assert [row.image_id for row in rows if row.error] == ["000004"]
    assert len(rows) == 16
    again = run(*command, code=1)
    assert "0 images in 0 parts (1 already written)" in again
    assert "000004.jpg: cannot be read as an image" in again
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for changes, words in (
        ({"model.safetensors": "other.safetensors"}, "differ in model"),
        ({"0.12": "0.3"}, "differ in settings"),
        ({"dense": "selective-search"}, "differ in proposals"),
        ({images: "shapes/JPEGImages/000001.jpg"}, "has other images"),
    ):
        changed = [changes.get(word, word) for word in command]  # type: ignore[attr-defined]
        assert words in " ".join(run(*changed, code=2).split())
    assert "differ in tiles" in " ".join(run(*command, "--tile", 64, code=2).split())
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_proposals_in_parts_are_those_of_a_store(tmp_path: Path) -> None:
    run("propose", "shapes/JPEGImages", "--out", tmp_path / "a.proposals", "--workers", 1)
    run("propose", "shapes/JPEGImages", "--parts", tmp_path / "out", "--part-size", 6)
    stored = read_proposals(tmp_path / "a.proposals")
    rows = rows_in(tmp_path / "out")
    assert sorted(row.image_id for row in rows) == sorted(stored)
    for row in rows:
        np.testing.assert_array_equal(row.boxes, stored[row.image_id].boxes)
        np.testing.assert_array_equal(row.scores, stored[row.image_id].scores)
        assert row.labels is None


def test_evaluation_in_shards(tmp_path: Path) -> None:
    model = ("model.safetensors", "shapes", "--split", "trainval", "--source", "dense")
    run("eval", *model, "--json", tmp_path / "whole.json")
    for index in (1, 2):
        done = run("eval", *model, "--shard", f"{index}/2", "--parts", tmp_path / "out")
        assert "(0 already written)" in done
    again = run("eval", *model, "--shard", "2/2", "--parts", tmp_path / "out")
    assert "0 images in 0 parts (1 already written)" in again
    dataset = ("shapes", "--split", "trainval", "--detections", tmp_path / "out")
    run("eval", *dataset, "--json", tmp_path / "parts.json")
    whole, parts = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("whole", "parts"))
    assert parts == {**whole, "trained_on": None}
    first = part_files(tmp_path / "out")[0]
    content = first.read_bytes()
    first.write_bytes(content[:-20])
    assert f"{first.name}: is not a readable part" in run("eval", *dataset, code=1)
    shutil.copy(part_files(tmp_path / "out")[1], first)
    assert "is in two parts" in " ".join(run("eval", *dataset, code=1).split())
    first.unlink()
    assert "have no result in any part" in " ".join(run("eval", *dataset).split())
    first.with_name("part-00000000-1of2-000000-00000000.jsonl").write_bytes(content)
    assert "is of another model" in " ".join(run("eval", *dataset, code=1).split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("detect shapes --parts out --json a.json", "cannot be combined with --json"),
        ("detect shapes --parts out --viz", "cannot be combined with --json"),
        ("detect shapes --engine ray", "add --parts"),
        ("detect shapes --address 1.2.3.4:5", "add --engine ray"),
        ("detect shapes --parts out --workers 2", "add --engine ray"),
        ("detect shapes --workers 2", "add --engine ray"),
        ("detect shapes --part-size 3", "add --parts"),
        ("propose shapes --format parquet", "add --parts"),
        ("eval model.safetensors shapes --part-size 3", "add --parts"),
        ("detect 0 --parts out", "a video cannot be divided"),
        ("propose shapes --parts out --replace", "cannot be combined with --out"),
        ("propose shapes --parts out --workers 2", "add --engine ray"),
        ("propose shapes --parts out --source tracked", "is for videos and cameras"),
        ("detect shapes --parts out --source tracked", "is for videos and cameras"),
        ("detect shapes --shard 3/2", "from 1/N to N/N"),
        ("eval model.safetensors shapes --shard 1/2", "add --parts"),
        ("eval model.safetensors shapes --parts out --corloc", "remove the options for evaluation"),
        ("eval --detections a.json shapes --parts out", "remove the options for evaluation"),
    ],
)
def test_misuse(words: str, message: str) -> None:
    output = " ".join(run(*words.split(), code=2).split())
    assert message in output
    assert not Path("out").exists()


def test_a_damaged_file_of_proposals_is_found_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    of_file = ("--source", "precomputed", "--param", f"file={tmp_path}/bad.npz")
    assert "bad.npz" in run("propose", "shapes", *of_file, "--parts", tmp_path / "out", code=1)
    assert not (tmp_path / "out").exists()


def test_the_warnings_of_one_file_are_those_of_parts(tmp_path: Path) -> None:
    images = tmp_path / "images"
    shutil.copytree("shapes/JPEGImages", images)
    (images / "000001.jpg").unlink()
    grey = np.arange(96 * 128, dtype=np.uint16).reshape(96, 128) * 5
    PIL.Image.fromarray(grey).save(images / "000001.png")
    run("propose", images, "--source", "dense", "--out", tmp_path / "a.proposals")
    PIL.Image.open(images / "000002.jpg").resize((256, 192)).save(images / "000002.jpg")
    command = ("detect", images, *MODEL[:2], "--proposals", tmp_path / "a.proposals", "--tile", 256)
    parts = " ".join(run(*command, "--parts", tmp_path / "out").split())
    for text in (
        "000001.png: has 16-bit grey values",
        "Warning: 16 images are not larger than a tile of 256 x 256 pixels",
        "Warning: 1 image has another size than the one that the proposals were computed from",
    ):
        assert text in parts
    whole = " ".join(run(*command, "--json", tmp_path / "a.json").split())
    assert "has 16-bit grey values" in whole
    assert "16 of 16 images are not larger than a tile of 256 x 256 pixels" in whole
    assert "1 of 16 images differs from those that the proposals were computed from" in whole


@pytest.mark.parametrize(("device", "gpus"), [("cuda", 1), ("auto", None), ("cpu", 0)])
def test_workers_of_ray_have_one_precision_and_the_device_of_the_option(
    device: str, gpus: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command runs on a machine without a GPU."""
    given: list[Any] = []

    def record(*arguments: Any) -> PartsResult:
        given.extend(arguments)
        return PartsResult(tmp_path)

    monkeypatch.setattr("frcnn_cli.commands.shared.parts.check_ray", lambda: None)
    monkeypatch.setattr(run_of_parts, "write_parts_on_ray", record)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run("detect", "shapes", *MODEL, "--parts", tmp_path / "out", "--engine", "ray",
        "--device", device)  # fmt: skip
    detector, workers_gpus = given[0], given[5]
    assert (detector.device, workers_gpus) == (device, gpus)
    about = json.loads((tmp_path / "out/parts.json").read_text())
    assert detector.options.precision == about["identity"]["settings"]["precision"]


def test_killed_in_the_middle_and_resumed(
    expected: list[dict[str, Any]], classes: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ["detect", "shapes/JPEGImages", *MODEL, "--parts", str(out), "--part-size", "2"]
    child = subprocess.Popen(
        [sys.executable, "-m", "frcnn_cli", *command],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    while len(part_files(out)) < 2 and child.poll() is None:
        time.sleep(0.01)
    child.kill()
    child.wait()
    before = {path: path.stat().st_mtime_ns for path in part_files(out)}
    assert len(before) >= 2
    run(*command)
    assert entries(rows_in(out), classes) == expected
    assert {path: path.stat().st_mtime_ns for path in before} == before
