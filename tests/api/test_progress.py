"""Long work reports to one function; without one, nothing is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_runs import equal, weights

import frcnn

FEW = {"backbone": "efficientnet_lite0", "scale": 64, "source": "dense", "workers": 0}


def train(out: Path, **more: Any) -> frcnn.Trained:
    return frcnn.train("shapes", out=out, **{"iterations": 3, **FEW, **more})


def test_nothing_is_printed(
    at_home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    frcnn.generate_dataset(tmp_path / "more", 8, size=(96, 72))
    frcnn.propose(tmp_path / "more", tmp_path / "more.proposals", source="dense", workers=1)
    trained = train(tmp_path / "run")
    frcnn.resume(tmp_path / "run")
    frcnn.evaluate(trained.path)
    frcnn.compress(trained.path, svd_rank=8)
    detector = frcnn.Detector.load(tmp_path / "run")
    detector.detect_files("shapes")
    detector.detect(sorted(Path("shapes/JPEGImages").iterdir()))
    assert capfd.readouterr() == ("", "")


def test_reports_of_training(at_home: Path, tmp_path: Path) -> None:
    reports: list[frcnn.Progress] = []
    trained = train(tmp_path / "run", progress=reports.append)
    steps = [each for each in reports if each.text == "Training"]
    assert [(each.done, each.total) for each in steps if each.done][-3:] == [(1, 3), (2, 3), (3, 3)]
    assert str(steps[-1]).startswith("Training: 3 of 3, loss ")
    notes = [str(each) for each in reports if each.kind == "note"]
    assert any(note.startswith("Training efficientnet_lite0 on 9 images") for note in notes)
    assert trained.path == tmp_path / "run" / "model.safetensors"


def test_every_long_work_reports(at_home: Path, tmp_path: Path) -> None:
    reports: dict[str, tuple[int, int | None]] = {}

    def progress(each: frcnn.Progress) -> None:
        if each.kind == "progress":
            reports[each.text] = (each.done, each.total)

    frcnn.generate_dataset(tmp_path / "more", 8, size=(96, 72), progress=progress)
    frcnn.propose("shapes", tmp_path / "a.proposals", source="dense", workers=0, progress=progress)
    frcnn.evaluate("runs/small", proposals="shapes.proposals", progress=progress)
    frcnn.compress("runs/small", svd_rank=4, out=tmp_path / "a.safetensors", progress=progress)
    assert reports["Generating"] == (8, 8)
    assert reports["Proposing (dense)"] == (12, 12)
    assert reports["Detecting"] == (3, 3)
    assert reports["Decomposing"] == (2, 2)
    detector = frcnn.Detector.load("runs/small")
    paths = sorted(Path("shapes/JPEGImages").iterdir())
    detector.detect(paths[:5], progress=progress)
    assert reports["Detecting"] == (5, 5)
    detector.detect_files("shapes", progress=progress)
    assert reports["Detecting"] == (12, 12)


def test_warnings_are_reports_too() -> None:
    report = frcnn.Progress("warning", "skipped")
    assert str(report) == "Warning: skipped"
    assert str(frcnn.Progress("progress", "Exporting", 2)) == "Exporting: 2"


def test_an_exception_stops_the_work_which_can_be_resumed(at_home: Path, tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def stop(each: frcnn.Progress) -> None:
        if each.text == "Training" and each.done == 3:
            raise Enough

    whole = train(tmp_path / "whole", iterations=4)
    with pytest.raises(Enough):
        train(tmp_path / "run", iterations=4, checkpoint_every=2, progress=stop)
    with pytest.raises(frcnn.Error, match="has not finished"):
        frcnn.Detector.load(tmp_path / "run")
    resumed = frcnn.resume(str(tmp_path / "run"), workers=0)
    assert equal(weights(resumed.path), weights(whole.path))


def test_settings_by_their_full_names(at_home: Path, tmp_path: Path) -> None:
    trained = train(
        tmp_path / "run",
        settings={"schedule.iterations": 2, "sampling.scales": [64, 72], "detect.top_k": 9},
        iterations=None,
    )
    text = (trained.path.parent / "setting.toml").read_text()
    for line in ("iterations = 2", "scales = [64, 72]", "top_k = 9"):
        assert line in text.splitlines()
    with pytest.raises(frcnn.MisuseError, match="Did you mean 'sampling"):
        train(tmp_path / "other", settings={"sampling.foreground": 0.6})
    with pytest.raises(frcnn.MisuseError, match="iterations is given 2 times"):
        train(tmp_path / "other", settings={"schedule.iterations": 2})
