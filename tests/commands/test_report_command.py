"""`frcnn report` on a few generated images and an untrained model."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from called import frcnn

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.models.shipped import table
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.creation import create_model
from frcnn_cli.engine.settings import Preprocessing, TrainSettings


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, its proposals, two models, and the detections of one of them."""
    folder = tmp_path_factory.mktemp("home")
    data, boxes = folder / "shapes", folder / "shapes.proposals"
    assert frcnn("data", "generate", data, "--images", 12, "--size", 128, 96).exit_code == 0
    images = data / "JPEGImages"
    assert frcnn("propose", images, "--source", "dense", "--out", boxes).exit_code == 0
    classes = find_dataset(str(data), "test").classes
    origin = {"dataset": str(data), "data_root": None, "settings": asdict(TrainSettings())}
    for seed, name in enumerate(("first", "second")):
        backbone = find_backbone("efficientnet_lite0")
        model = create_model(backbone, classes, "none", Preprocessing(64, 120), seed)
        (folder / "runs" / name).mkdir(parents=True)
        save_model(model, folder / "runs" / name / "model.safetensors", origin)
    (folder / "runs" / "first" / "metrics.jsonl").write_text(
        '{"iteration": 1, "loss": 2.0, "classification": 1.5, "box_regression": 0.5}\n'
    )
    scored = frcnn(
        "eval", folder / "runs" / "first", "--proposals", boxes,
        "--json", folder / "eval.json", "--save-detections", folder / "found.json",
    )  # fmt: skip
    assert scored.exit_code == 0, scored.output
    return folder


def headline(page: str) -> list[str]:
    """The headline numbers of a page."""
    head = page[page.index('<dl class="headline">') : page.index("</dl>")]
    return [re.sub("<[^>]*>", "", value) for value in re.findall("<dd.*?>(.*?)</dd>", head)]


def test_a_models_page_has_the_scores_of_eval(home: Path, tmp_path: Path) -> None:
    result = frcnn(
        "report", home / "runs" / "first", "--proposals", home / "shapes.proposals",
        "--out", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "index.html") in result.output.replace("\n", "")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    scores = json.loads((home / "eval.json").read_text())
    expected = [scores["voc"]["map_11point"], scores["voc"]["map_area"], scores["coco"]["ap"]]
    assert headline(page)[:3] == [f"{100 * value:.1f}" for value in expected]
    for section in ("training", "classes", "errors", "gallery", "proposals", "time"):
        assert f'<section id="{section}"' in page
    assert 'id="changes"' not in page
    assert {path.stem for path in tmp_path.glob("*.png")} == {
        "average-precision",
        "errors",
        "precision-recall",
        "proposal-recall-by-count",
        "proposal-recall-by-iou",
        "time-by-stage",
        "training-loss",
    }


def test_corloc_is_that_of_eval(home: Path, tmp_path: Path) -> None:
    """In the report of one model and of two, and in the tables of eval."""
    first, boxes = home / "runs" / "first", home / "shapes.proposals"
    data = ("--dataset", home / "shapes", "--detections", home / "found.json")
    one, two = tmp_path / "one", tmp_path / "two"
    assert frcnn("report", *data, "--corloc", "--out", one).exit_code == 0
    assert frcnn("report", *data, *data[2:], "--corloc", "--out", two).exit_code == 0
    printed = frcnn("eval", home / "shapes", *data[2:], "--corloc").output
    corloc = json.loads((home / "eval.json").read_text())["corloc"]
    expected = f"{100 * corloc['corloc']:.1f}"
    assert re.search(rf"mean.*\b{corloc['pairs']}\b.*\b{re.escape(expected)}", printed)
    for folder, values in ((one, [expected]), (two, [expected, expected, "0.0"])):
        page = (folder / "index.html").read_text(encoding="utf-8")
        part = page[page.index("<dt>CorLoc") :]
        assert f"{corloc['pairs']} pairs of image and class" in part
        cells = re.findall("<dd.*?>(.*?)</dd>", part[: part.index("</div>")])
        assert [re.sub("<b>.</b> |<[^>]*>", "", cell) for cell in cells] == values
        assert "the detection with the highest score is right" in page
    assert frcnn("report", *data, "--out", one).exit_code == 0
    assert "CorLoc" not in (one / "index.html").read_text(encoding="utf-8")
    swept = frcnn("eval", first, "--proposals", boxes, "--corloc", "--sweep", "proposals=5")
    assert swept.exit_code == 2
    assert "no effect" in swept.output


def test_detections_from_a_file_give_the_same_page(home: Path, tmp_path: Path) -> None:
    result = frcnn(
        "report", home / "runs" / "first", "--proposals", home / "shapes.proposals",
        "--detections", home / "found.json", "--out", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    scores = json.loads((home / "eval.json").read_text())
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert headline(page)[0] == f"{100 * scores['voc']['map_11point']:.1f}"


def test_two_models_are_shown_side_by_side(home: Path, tmp_path: Path) -> None:
    runs = home / "runs"
    result = frcnn(
        "report", runs / "first", runs / "second", "--proposals", home / "shapes.proposals",
        "--out", tmp_path, "--score-threshold", 0.1,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert '<section id="changes"' in page
    assert "first" in page
    assert "second" in page
    assert len(headline(page)) == 7 * 3  # two models, and the change


def test_a_detections_file_needs_no_model(home: Path, tmp_path: Path) -> None:
    result = frcnn(
        "report", "--detections", home / "found.json", "--dataset", home / "shapes",
        "--out", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    for section in ("training", "proposals", "time"):
        assert f'<section id="{section}"' not in page


def test_a_second_report_removes_plots_of_the_first(home: Path, tmp_path: Path) -> None:
    detections = ("--detections", home / "found.json", "--out", tmp_path)
    boxes = ("--proposals", home / "shapes.proposals")
    (tmp_path / "mine.png").write_bytes(b"")
    assert frcnn("report", home / "runs" / "first", *boxes, *detections).exit_code == 0
    assert (tmp_path / "training-loss.png").exists()
    assert frcnn("report", "--dataset", home / "shapes", *detections).exit_code == 0
    assert not (tmp_path / "training-loss.png").exists()
    assert (tmp_path / "mine.png").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{home}/runs/first"] * 3, 2, "at most two models"),
        (["--detections", "{home}/found.json"], 2, "requires --dataset"),
        (
            ["{home}/runs/first", "{home}/runs/second", "--detections", "{home}/f"],
            2,
            "once per model",
        ),
        (["{home}/nowhere"], 2, "model not found"),
        (["--runs", "{home}/none"], 2, "frcnn train"),
        (["--detections", "{home}/none.json", "--dataset", "{home}/shapes"], 2, "none.json"),
        (["{home}/runs/first", "--split", "dev"], 2, "dev"),
    ],
)
def test_misuse_prints_a_short_message(
    home: Path,
    arguments: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table, "FOLDER", tmp_path)  # a package without models
    result = frcnn("report", *(argument.format(home=home) for argument in arguments))
    assert result.exit_code == code, result.output
    assert words in " ".join(result.output.split())
    assert "Traceback" not in result.output
