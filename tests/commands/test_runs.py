"""`frcnn runs`, and the files of a run for people."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image
from unprivileged import public_folder, without_privileges

from frcnn_cli.cli import cli
from frcnn_cli.commands.shared.estimate import room_in_words
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.proposals.propose import propose
from frcnn_cli.engine.reporter import Advance, Needs, Silent
from frcnn_cli.engine.training.metrics import TrainingLine
from frcnn_cli.engine.training.run import StepReport
from frcnn_cli.engine.training.run_folder import lock_new_folder
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.sources.dense import DenseBoxes
from frcnn_proposals.store.reader import open_store

STEP = StepReport(7, 1.25, 0.75, 0.5, 0.01, images=2, seconds=0.25, waiting=0.01)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, an interrupted one, and one with a damaged checkpoint."""
    folder = tmp_path_factory.mktemp("home")
    generate_dataset(folder / "shapes", images=8, size=(96, 72))
    for name, iterations in (("whole", 4), ("other", 4)):
        result = CliRunner().invoke(cli, [
            "train", str(folder / "shapes"), "--source", "dense", "--weights", "none", "--scale",
            "64", "--iterations", str(iterations), "--workers", "0", "--checkpoint-every", "3",
            "--eval-every", "2", "--split", "train", "--out", str(folder / "runs" / name),
            "--device", "cpu", *(["--tensorboard"] if name == "whole" else []),
        ])  # fmt: skip
        assert result.exit_code == 0, result.output
    (folder / "runs" / "other" / "model.safetensors").unlink()
    damaged = folder / "runs" / "damaged"
    damaged.mkdir()
    (damaged / "checkpoint.safetensors").write_bytes(b"not a checkpoint")
    (folder / "runs" / "not a run").mkdir()
    return folder


def test_runs_are_listed_with_their_details(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    result = CliRunner().invoke(cli, ["runs", "--runs", str(home / "runs"), "--json", str(path)])
    assert result.exit_code == 0, result.output
    found = {run["name"]: run for run in json.loads(path.read_text())["runs"]}
    assert set(found) == {"whole", "other", "damaged"}
    whole, other, damaged = found["whole"], found["other"], found["damaged"]
    assert whole["finished"]
    assert whole["iteration"] == whole["iterations"] == 4
    assert whole["setting"]["preprocessing"]["scale"] == 64
    evaluations = (home / "runs" / "whole" / "evaluations.jsonl").read_text().splitlines()
    assert whole["map"] == max(json.loads(line)["map"] for line in evaluations)
    files = [path for path in (home / "runs" / "whole").rglob("*") if path.is_file()]
    assert whole["size_bytes"] == sum(file.stat().st_size for file in files)
    assert (other["finished"], other["iteration"]) == (False, 4)  # saved before validation
    assert damaged["setting"] is None
    assert "checkpoint.safetensors" in damaged["problem"]
    assert "damaged" in result.output


def test_no_runs_are_no_error_but_a_missing_folder_is(tmp_path: Path) -> None:
    assert CliRunner().invoke(cli, ["runs", "--runs", str(tmp_path)]).exit_code == 0
    assert CliRunner().invoke(cli, ["runs", "--runs", str(tmp_path / "gone")]).exit_code == 1


def test_a_file_in_place_of_the_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("runs")
    path.write_text("")
    result = CliRunner().invoke(cli, ["runs"])
    assert result.exit_code == 2
    message = f"{path}: is a file, not a folder."
    assert message in result.output
    for folder, numbered in ((path / "shapes", True), (path / "a" / "b", False), (path, False)):
        with (
            pytest.raises(MisuseError, match=re.escape(message)),
            lock_new_folder(folder, numbered=numbered),
        ):
            pass


def test_an_unreadable_run_does_not_hide_the_others(home: Path) -> None:
    with public_folder() as folder:
        shutil.copytree(home / "runs" / "whole", folder / "whole")
        (folder / "closed").mkdir()
        (folder / "closed").chmod(0)
        for name in ("model", "checkpoint"):
            (folder / "half").mkdir(exist_ok=True)
            (folder / "half" / f"{name}.safetensors").write_bytes(b"")
            (folder / "half" / f"{name}.safetensors").chmod(0)
        with without_privileges():
            result = CliRunner().invoke(cli, ["runs", "--runs", str(folder)])
        (folder / "closed").chmod(0o755)
    assert result.exit_code == 0, result.output
    assert "whole" in result.stdout
    assert f"{folder / 'closed'}: cannot be read (Permission denied)" in result.stderr
    assert "checkpoint.safetensors: cannot be read (Permission denied)" in result.stderr


def test_an_unreadable_model_is_not_called_missing(home: Path) -> None:
    with public_folder() as folder:
        model = folder / "model.safetensors"
        shutil.copy(home / "runs" / "whole" / "model.safetensors", model)
        model.chmod(0)
        with without_privileges():
            result = CliRunner().invoke(cli, ["model", "info", str(model)])
    assert result.exit_code == 1
    assert f"{model}: cannot be read (Permission denied)." in result.stderr


def test_a_run_writes_a_loss_plot_and_scalars(home: Path) -> None:
    with Image.open(home / "runs" / "whole" / "loss.png") as image:
        assert image.width > 400
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = events.EventAccumulator(str(home / "runs" / "whole" / "tensorboard"))
    log.Reload()
    lines = (home / "runs" / "whole" / "metrics.jsonl").read_text().splitlines()
    expected = [json.loads(line)["loss"] for line in lines]
    assert [scalar.value for scalar in log.Scalars("loss/total")] == pytest.approx(expected)
    assert [scalar.step for scalar in log.Scalars("map_on_val")] == [3, 4]


def test_the_progress_line_has_losses_rate_speed_and_evaluation() -> None:
    text_of = TrainingLine()
    text = text_of(STEP)
    assert text == "loss 1.250 (class 0.750, boxes 0.500), rate 0.01, 8.0 images/s"
    assert text_of(replace(STEP, evaluation=0.4321)).endswith(", val mAP 43.2")
    # The loss of a second head, and of a ranker.
    assert text_of(replace(STEP, loss=3.0)).startswith(
        "loss 3.000 (class 0.750, boxes 0.500, others 1.750)"
    )


def test_the_size_on_disk_can_depend_on_the_first_items(tmp_path: Path) -> None:
    needs = Needs(lambda: 18_000_000, tmp_path / "not yet")
    assert room_in_words(needs).startswith("about 18 MB on disk (")


def test_the_stored_size_of_proposals_is_measured(home: Path, tmp_path: Path) -> None:
    needs: list[Needs] = []

    class Reporter(Silent):
        @contextmanager
        def progress(self, *arguments: Any, **options: Any) -> Iterator[Advance]:
            needs.append(options["needs"])
            yield lambda count, status: None

    out = tmp_path / "dense.proposals"
    propose([str(home / "shapes")], DenseBoxes(), out, workers=0, reporter=Reporter())
    size, store = needs[0].size, open_store(out)
    assert callable(size)
    assert size() == 16 * sum(len(store[image_id]) for image_id in store.ids())
    assert size() < out.stat().st_size < size() + 50_000
