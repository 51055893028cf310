"""`frcnn detect` and `frcnn eval` in child processes that are interrupted or killed."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from slowed import start_slowly, stop_after

from frcnn_cli.cli import cli
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Preprocessing

IMAGES = 40


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset and an untrained model of its classes."""
    folder = tmp_path_factory.mktemp("home")
    generate_dataset(folder / "shapes", images=IMAGES, size=(128, 96))
    classes = find_dataset(str(folder / "shapes"), "trainval").classes
    small = Preprocessing(scale=64, max_size=120)
    model = FastRCNN(Architecture("efficientnet_lite0", classes, (16, 16), small))
    save_model(model, folder / "model.safetensors", {})
    return folder


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("FRCNN_CACHE", str(home / "cache"))


def start(*arguments: object) -> subprocess.Popen[str]:
    return start_slowly("frcnn_cli.engine.detection.journal", "Journal", *arguments)


def run(*arguments: object, code: int = 0) -> str:
    """Run a command in this process, which is faster: torch is already imported."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def detection(name: str, *more: object) -> list[object]:
    return [
        *("detect", "shapes/JPEGImages", "--model", "model.safetensors", "--source", "dense"),
        *("--score-threshold", 0, "--json", name, "--viz", "--out", f"{name}-annotated"),
        *more,
    ]


@pytest.mark.parametrize("more", [(), ("--tile", 64)], ids=["whole", "tiles"])
def test_killed_detection_is_resumed_with_identical_results(
    more: tuple[object, ...], home: Path
) -> None:
    whole, killed = (f"{name}{len(more)}.json" for name in ("whole", "killed"))
    run(*detection(whole, *more))
    expected = (home / whole).read_bytes()
    assert not (home / f"{whole}.partial").exists()
    journal = home / f"{killed}.partial"
    stop_after(start(*detection(killed, *more)), 4, lambda: journal, signal.SIGKILL)
    finished = journal.read_bytes().count(b"\n") - 1
    assert 3 <= finished < IMAGES
    assert not (home / killed).exists()
    other = () if more else ("--tile", 64)
    assert "differs in its tiles" in run(*detection(killed, *other), code=1)
    output = run(*detection(killed, *more))
    assert f"{finished} images are done" in output
    assert (home / killed).read_bytes() == expected
    assert not journal.exists()
    annotated = sorted((home / f"{whole}-annotated").iterdir())
    assert len(annotated) == IMAGES
    for path in annotated:
        assert (home / f"{killed}-annotated" / path.name).read_bytes() == path.read_bytes()


def test_ctrl_c_keeps_finished_images_and_other_settings_are_rejected(home: Path) -> None:
    journal = home / "stopped.json.partial"
    child = start(*detection("stopped.json"))
    output = stop_after(child, 3, lambda: journal, signal.SIGINT)
    assert child.returncode == 130, output
    assert "run the same command to resume" in output
    assert "Traceback" not in output
    output = run(*detection("stopped.json"), "--tta", "flip", code=1)
    assert "differs in its settings" in output
    run(*detection("stopped.json"))
    entries = json.loads((home / "stopped.json").read_text())
    assert len({entry["image_id"] for entry in entries}) > 1


EVALUATION = ["eval", "model.safetensors", "shapes", "--split", "trainval", "--source", "dense"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_evaluation_is_resumed_with_identical_results(
    home: Path, how: signal.Signals
) -> None:
    run(*EVALUATION, "--json", "whole-scores.json")

    def journal() -> Path | None:
        return next((home / "cache" / "detections").glob("*.partial"), None)

    assert journal() is None
    child = start(*EVALUATION)
    output = stop_after(child, 3, journal, how)
    if how is signal.SIGINT:
        assert child.returncode == 130, output
        assert "run the same command to resume" in output
        assert "Traceback" not in output
    output = run(*EVALUATION, "--json", "scores.json")
    assert "images are done" in output
    assert journal() is None
    assert (home / "scores.json").read_text() == (home / "whole-scores.json").read_text()
