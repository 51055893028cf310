"""No output of a command replaces one of its inputs, or another output."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
import numpy as np
import PIL.Image
import pytest
import torch
from called import frcnn

from frcnn_cli.cli import COMMANDS, cli
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.paths import JsonFile, WrittenFile, WrittenFolder
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Preprocessing


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset in two layouts, its proposals, a model, and detections."""
    folder = tmp_path_factory.mktemp("paths")
    here = Path.cwd()
    os.chdir(folder)
    try:
        for arguments in (
            ("data", "generate", "data/shapes", "--images", 8, "--size", 64, 64),
            ("propose", "data/shapes", "--source", "dense", "--out", "a.proposals"),
            ("data", "export", "data/shapes", "coco.json", "--format", "coco"),
        ):
            result = frcnn(*arguments)
            assert result.exit_code == 0, result.output
            if "generate" in arguments:
                Path(PNG).with_suffix(".jpg").rename(PNG)
    finally:
        os.chdir(here)
    (folder / "coco" / "annotations").mkdir(parents=True)
    (folder / "coco.json").rename(folder / "coco" / "annotations" / "instances_test.json")
    (folder / "coco" / "images").symlink_to(folder / "data" / "shapes" / "JPEGImages")
    (folder / "detections.json").write_text("[]")
    (folder / "list.txt").write_text("data/shapes/JPEGImages/000003.jpg\n")
    PIL.Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "x.jpg")
    torch.manual_seed(0)
    small = Preprocessing(scale=64, max_size=120)
    model = FastRCNN(Architecture("efficientnet_lite0", ("disc",), (16, 16), small))
    (folder / "runs" / "one").mkdir(parents=True)
    save_model(model, folder / "runs" / "one" / "model.safetensors", {})
    return folder


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    monkeypatch.delenv("FRCNN_DATA", raising=False)


PHOTO = "data/shapes/JPEGImages/000003.jpg"
PNG = "data/shapes/JPEGImages/000005.png"
XML = "data/shapes/Annotations/000003.xml"
COCO = "coco/annotations/instances_test.json"
MODEL = "runs/one/model.safetensors"


@pytest.mark.parametrize(
    ("command", "written"),
    [
        (f"eval {MODEL} shapes --json {MODEL}", MODEL),
        (f"eval runs/one shapes --json {MODEL}", MODEL),
        (f"eval runs/one shapes --save-detections {XML}", XML),
        ("eval runs/one shapes --proposals a.proposals --json a.proposals", "a.proposals"),
        (f"eval runs/one shapes --sweep proposals=5 --plot {PNG}", PNG),
        ("eval --detections detections.json shapes --json detections.json", "detections.json"),
        ("detect x.jpg --json x.jpg", "x.jpg"),
        ("detect x.jpg --csv ./x.jpg", "x.jpg"),
        (f"detect data/shapes/JPEGImages --json {PHOTO}", PHOTO),
        (f"detect data/shapes/JPEGImages/*.jpg --csv {PHOTO}", PHOTO),
        (f"detect list.txt --json {PHOTO}", PHOTO),
        ("detect list.txt --json list.txt", "list.txt"),
        (f"detect shapes --json {PHOTO}", PHOTO),
        (f"detect x.jpg --model runs/one --json {MODEL}", MODEL),
        (f"propose shapes --json {PHOTO}", PHOTO),
        ("proposals recall a.proposals --dataset shapes --json a.proposals", "a.proposals"),
        (f"proposals recall a.proposals --dataset shapes --plot {PNG}", PNG),
        ("proposals draw a.proposals x.jpg --out x.jpg", "x.jpg"),
        (f"proposals draw a.proposals 000003 --dataset shapes --out {PHOTO}", PHOTO),
        ("proposals convert a.proposals a.proposals", "a.proposals"),
        ("proposals inspect a.proposals --json a.proposals", "a.proposals"),
        (f"proposals inspect a.proposals --images data/shapes --json {PHOTO}", PHOTO),
        (f"data export coco {COCO} --split test --format coco", COCO),
        (f"data export {COCO} {COCO} --split test --format coco", COCO),
        (f"data export shapes {XML} --split test --format csv", XML),
        (
            "data export shapes detections.json --detections detections.json --format coco",
            "detections.json",
        ),
        (f"data check shapes --json {XML}", XML),
        (f"compress {MODEL} --svd-rank 4 --out {MODEL}", MODEL),
        (f"compress runs/one shapes --svd-rank 4 --json {MODEL}", MODEL),
        (f"model info {MODEL} --json {MODEL}", MODEL),
        (f"export {MODEL} --out {MODEL}", MODEL),
    ],
)
def test_an_input_is_not_replaced(home: Path, command: str, written: str) -> None:
    before = (home / written).read_bytes()
    result = frcnn(*command.split())
    assert result.exit_code == 2, result.output
    message = " ".join(result.output.split())
    assert "is also an input file" in message or "belongs to a run" in message, message
    assert (home / written).read_bytes() == before


@pytest.mark.parametrize(
    "command",
    [
        "detect x.jpg --json a --csv ./a",
        "propose x.jpg --out a --json a",
        "eval runs/one shapes --json a --save-detections a",
    ],
)
def test_two_outputs_have_two_names(command: str) -> None:
    result = frcnn(*command.split())
    assert result.exit_code == 2
    assert "is given for two outputs" in result.output
    assert not Path("a").exists()


def test_the_newest_run_is_not_replaced(home: Path) -> None:
    before = (home / MODEL).read_bytes()
    for command in (f"eval --json {MODEL}", f"compress --svd-rank 4 --out {MODEL}"):
        result = frcnn(*command.split())
        assert result.exit_code == 2, result.output
        assert "belongs to a run" in result.output
    assert (home / MODEL).read_bytes() == before


def test_an_earlier_result_is_replaced_even_in_an_input_folder(home: Path) -> None:
    (home / "photos").mkdir()
    (home / "photos" / "a.jpg").write_bytes((home / "x.jpg").read_bytes())
    detect = ["detect", "photos", "--model", "runs/one", "--source", "dense"]
    commands = [
        [*detect, "--json", "photos/found.json", "--csv", "photos/found.csv"],
        ["propose", "photos", "--source", "dense", "--out", "photos/a.proposals"],
        ["data", "check", "shapes", "--json", "data/shapes/check.json"],
        ["model", "info", "runs/one", "--json", "runs/one/model.json"],
        ["data", "export", "shapes", "data/shapes.json", "--format", "coco"],
    ]
    for command in commands * 2:
        result = frcnn(*command)
        assert result.exit_code == 0, result.output
    assert isinstance(json.loads((home / "photos" / "found.json").read_text()), list)


@pytest.mark.parametrize(
    "command",
    [
        ["detect", ""],
        ["detect", "x.jpg", ""],
        ["detect", "x.jpg", "--model", ""],
        ["detect", "x.jpg", "--out", ""],
        ["detect", "x.jpg", "--json", ""],
        ["eval", ""],
        ["model", "info", ""],
        ["train", "", "--runs", "runs"],
        ["train", "shapes", "--data-root", ""],
        ["proposals", "inspect", ""],
        ["bench", "models", ""],
        ["bench", "video", "--model", ""],
        ["train", "shapes", "--weights", ""],
        ["features", "x.jpg", "--out", "x.npz", "--backbone", "vgg16", "--weights", ""],
    ],
)
def test_an_empty_name_is_not_the_current_folder(command: list[str]) -> None:
    result = frcnn(*command)
    assert (result.exit_code, "name is empty" in result.stderr) == (2, True), result.output


def every_command(command: click.Command, name: str) -> list[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        return [(name, command)]
    context = click.Context(command)
    found = []
    for inner in command.list_commands(context):
        child = command.get_command(context, inner)
        assert child is not None
        found += every_command(child, f"{name} {inner}")
    return found


def test_a_default_that_is_not_used_can_be_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The defaults are --out detections and --runs runs; the command writes and reads neither."""
    model, image = (Path(name).resolve() for name in ("runs/one/model.safetensors", "x.jpg"))
    monkeypatch.chdir(tmp_path)
    for name in ("detections", "runs"):
        Path(name).write_text("")
    command = ("detect", image, "--model", model, "--source", "dense")
    result = frcnn(*command)
    assert result.exit_code == 0, result.output
    result = frcnn(*command, "--viz")
    assert result.exit_code == 1
    assert "Error: detections: cannot be written (Not a directory)" in result.output


def test_every_output_of_every_command_is_marked_as_one() -> None:
    """By its name: an option of a new command that forgets the type is found here."""
    assert COMMANDS
    kinds: dict[str, Any] = {"json_path": JsonFile}
    names = ("out", "folder", "plot", "json_path", "csv_path", "save_detections", "yolo", "crops")
    for name, command in every_command(cli, "frcnn"):
        for parameter in command.params:
            if parameter.name in names:
                kind = kinds.get(parameter.name, WrittenFile | WrittenFolder)
                marked = isinstance(parameter.type, kind)
                assert marked, f"{name}: {parameter.name}"
    assert isinstance(options.OutputFile, WrittenFile)
