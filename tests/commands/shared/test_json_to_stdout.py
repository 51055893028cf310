"""`--json -`: results as JSON on standard output, and nothing else there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import PIL.Image
import pytest
from called import frcnn

from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Preprocessing


def piped(folder: Path, arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run in a shell: frcnn, with the pipes of the caller."""
    return subprocess.run(
        ["bash", "-c", f"{sys.executable} -m frcnn_cli {arguments}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_standard_output_holds_the_bytes_of_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert frcnn("model", "list", "--json", tmp_path / "models.json").exit_code == 0
    ended = piped(
        tmp_path / "elsewhere", f"model list --json {name} | cat; exit ${{PIPESTATUS[0]}}"
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == (tmp_path / "models.json").read_text()
    assert os.listdir(tmp_path / "elsewhere") == []


@pytest.fixture
def detect(tmp_path: Path) -> list[object]:
    """The arguments that detect in the image a and in the file b, which is not an image."""
    small = Preprocessing(scale=64, max_size=120)
    model = FastRCNN(Architecture("efficientnet_lite0", ("disc",), (16, 16), small))
    save_model(model, tmp_path / "model.safetensors", {})
    PIL.Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("not an image")
    arguments = ["detect", "--model", tmp_path / "model.safetensors", "--source", "dense"]
    arguments += ["--score-threshold", 0, "--top-k", 1, tmp_path / "a.png", tmp_path / "b.png"]
    return arguments


def test_detections_are_printed_without_tables(tmp_path: Path, detect: list[object]) -> None:
    ended = frcnn(*detect, "--viz", "--out", tmp_path / "drawn", "--json", "-")
    assert ended.exit_code == 1, ended.output
    assert [entry["image_id"] for entry in json.loads(ended.stdout)] == ["a"]
    assert "b.png" in ended.stderr
    assert "Detections:" not in ended.stderr
    assert f"Annotated image: {tmp_path / 'drawn' / 'a.jpg'}\n" in ended.stderr


def test_a_file_of_any_name_is_not_standard_output(tmp_path: Path, detect: list[object]) -> None:
    path = tmp_path / "standard output.json"
    ended = frcnn(*detect, "--json", path)
    assert "image" in ended.stdout
    assert f"Detections: {path}" in ended.stderr


@pytest.mark.parametrize("is_resumed", [False, True])
def test_an_interrupted_command_is_resumed_only_from_a_file(
    tmp_path: Path, detect: list[object], is_resumed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("frcnn_cli.engine.detection.run.collect_results", interrupted)
    ended = frcnn(*detect, "--json", tmp_path / "found.json" if is_resumed else "-")
    assert ended.exit_code != 0
    assert ("run the same command to resume" in ended.stderr) == is_resumed


def test_a_reader_that_ends_early_is_no_crash(tmp_path: Path) -> None:
    ended = piped(tmp_path, "model list --json - | true")
    assert "Traceback" not in ended.stderr


def test_a_pipe_as_a_file_is_rejected_as_one(tmp_path: Path) -> None:
    for option in ("--json >(cat)", "--json >(cat) | cat"):
        ended = piped(tmp_path, f"model list {option}")
        assert "cannot be written (it is a pipe or a device, not a file)" in ended.stderr


def test_several_processes_have_no_common_standard_output(tmp_path: Path) -> None:
    ended = piped(tmp_path, "model list --json -", TORCHELASTIC_RUN_ID="1", WORLD_SIZE="2")
    assert ended.returncode == 2
    assert "Standard output cannot be used by several processes" in ended.stderr
