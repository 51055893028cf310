"""The commands train, eval, detect and compress on a few generated images."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from called import frcnn
from numpy.typing import NDArray

from frcnn_cli.engine.models.shipped import table
from frcnn_cli.engine.models.store import load_model
from frcnn_proposals.store.reader import open_store

FEW = ["--iterations", "4", "--scale", "64", "--workers", "0", "--weights", "none"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, its proposals and one short run."""
    folder = tmp_path_factory.mktemp("home")
    data = folder / "shapes"
    assert frcnn("data", "generate", data, "--images", 12, "--size", 128, 96).exit_code == 0
    stored = frcnn(
        "propose",
        data / "JPEGImages",
        "--source",
        "dense",
        "--out",
        folder / "shapes.proposals",
    )
    assert stored.exit_code == 0, stored.output
    result = frcnn(
        "train",
        data,
        "--proposals",
        folder / "shapes.proposals",
        "--out",
        folder / "runs" / "first",
        *FEW,
    )
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def picture(home: Path) -> Path:
    return sorted((home / "shapes" / "JPEGImages").glob("*.jpg"))[0]


def test_train_leaves_a_model_and_its_losses(home: Path) -> None:
    run = home / "runs" / "first"
    assert (run / "model.safetensors").is_file()
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 4


def test_a_run_is_not_trained_over(home: Path) -> None:
    result = frcnn("train", home / "shapes", "--out", home / "runs" / "first", *FEW)
    assert result.exit_code == 2
    assert "--resume" in result.output


def test_train_computes_and_caches_proposals(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))
    result = frcnn("train", home / "shapes", "--out", tmp_path / "run", *FEW)
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "cache").rglob("*.proposals"))) == 1


def test_eval_takes_the_newest_run_and_its_test_split(home: Path, tmp_path: Path) -> None:
    result = frcnn(
        "eval",
        "--runs",
        home / "runs",
        "--proposals",
        home / "shapes.proposals",
        "--json",
        tmp_path / "eval.json",
        "--save-detections",
        tmp_path / "detections.json",
    )
    assert result.exit_code == 0, result.output
    assert "split test, 3 images" in result.output
    values = json.loads((tmp_path / "eval.json").read_text())
    assert 0 <= values["voc"]["map_11point"] <= 1
    assert values["counts"]["images"] == 3
    assert {"image_id", "category_id", "bbox", "score"} <= set(
        json.loads((tmp_path / "detections.json").read_text())[0]
    )


def test_detections_file_has_the_same_scores_as_its_model(home: Path, tmp_path: Path) -> None:
    found, by_model, by_file = (tmp_path / f"{name}.json" for name in ("found", "model", "file"))
    scored = frcnn(
        "eval", home / "runs" / "first", "--proposals", home / "shapes.proposals",
        "--save-detections", found, "--json", by_model,
    )  # fmt: skip
    assert scored.exit_code == 0, scored.output
    again = frcnn("eval", "--detections", found, home / "shapes", "--json", by_file)
    assert again.exit_code == 0, again.output
    first, second = (json.loads(path.read_text()) for path in (by_model, by_file))
    assert first["voc"] == second["voc"]
    assert first["counts"] == second["counts"]


def is_among(boxes: NDArray[np.float32], found: list[float]) -> bool:
    """Whether `found` (COCO's x, y, width, height) is one of `boxes` (inclusive corners)."""
    x, y, width, height = found
    corners = [x, y, x + width - 1, y + height - 1]
    return bool(np.isclose(boxes, corners, atol=0.01).all(axis=1).any())


def test_without_box_regression_detections_are_proposals(home: Path, tmp_path: Path) -> None:
    stored = open_store(home / "shapes.proposals")
    inside: dict[str, bool] = {}
    for name, options in {"left": ["--no-box-regression"], "moved": []}.items():
        path = tmp_path / f"{name}.json"
        result = frcnn(
            "eval", home / "runs" / "first", "--proposals", home / "shapes.proposals",
            "--save-detections", path, *options,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        rows = json.loads(path.read_text())
        assert rows
        inside[name] = all(is_among(stored[row["image_id"]].boxes, row["bbox"]) for row in rows)
    assert inside == {"left": True, "moved": False}


def test_sweep_plots_map_against_the_number_of_proposals(home: Path, tmp_path: Path) -> None:
    result = frcnn(
        "eval", home / "runs" / "first", "--proposals", home / "shapes.proposals",
        "--sweep", "proposals=5,50", "--plot", tmp_path / "s.png", "--json", tmp_path / "s.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    points = json.loads((tmp_path / "s.json").read_text())["sweep"]
    assert [point["proposals"] for point in points] == [5, 50]
    assert PIL.Image.open(tmp_path / "s.png").size[0] > 500
    assert frcnn("eval", home / "runs" / "first", "--sweep", "boxes=5").exit_code == 2


def test_eval_can_require_a_map(home: Path) -> None:
    result = frcnn(
        "eval",
        home / "runs" / "first",
        "--proposals",
        home / "shapes.proposals",
        "--require-map",
        1,
    )
    assert result.exit_code == 1
    assert "--require-map needs at least 100.0%" in result.output


def test_detect_writes_an_annotated_image_and_coco_results(
    home: Path, picture: Path, tmp_path: Path
) -> None:
    result = frcnn(
        "detect",
        picture,
        "--runs",
        home / "runs",
        "--score-threshold",
        0.01,
        "--viz",
        "--out",
        tmp_path / "pictures",
        "--json",
        tmp_path / "found.json",
    )
    assert result.exit_code == 0, result.output
    path = tmp_path / "pictures" / picture.name
    assert f"Annotated image: {path}" in result.stdout.replace("\n", "")
    drawn = np.asarray(PIL.Image.open(path))
    original = np.asarray(PIL.Image.open(picture))
    assert drawn.shape == original.shape
    assert (np.abs(drawn.astype(int) - original.astype(int)) > 60).any()
    found = json.loads((tmp_path / "found.json").read_text())
    assert found
    x, y, width, height = found[0]["bbox"]
    assert x >= 0
    assert y >= 0
    assert x + width <= original.shape[1] + 0.01
    assert y + height <= original.shape[0] + 0.01


def test_annotated_images_do_not_overwrite_the_input(
    home: Path, picture: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(picture.read_bytes())
    result = frcnn("detect", tmp_path, "--runs", home / "runs", "--viz", "--out", tmp_path)
    assert result.exit_code == 2
    assert "photo.jpg: is also the input file" in result.output.replace("\n", "")
    assert photo.read_bytes() == picture.read_bytes()


def test_results_do_not_overwrite_the_detections_file(home: Path, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    found.write_text("[]")
    result = frcnn("eval", home / "shapes", "--detections", found, "--json", found)
    assert result.exit_code == 2
    assert found.read_text() == "[]"


def test_one_bad_image_does_not_stop_the_others(home: Path, picture: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(picture.read_bytes()[:200])
    result = frcnn(
        "detect", bad, picture, "--runs", home / "runs", "--json", tmp_path / "found.json",
        "--score-threshold", 0.0,
    )  # fmt: skip
    assert result.exit_code == 1
    assert "bad.jpg" in result.output
    assert {item["image_id"] for item in json.loads((tmp_path / "found.json").read_text())} == {
        picture.stem
    }


def test_compress_then_detect_with_the_smaller_model(
    home: Path, picture: Path, tmp_path: Path
) -> None:
    thin = tmp_path / "thin.safetensors"
    result = frcnn(
        "compress",
        home / "runs" / "first",
        home / "shapes",
        "--svd-rank",
        64,
        "--proposals",
        home / "shapes.proposals",
        "--out",
        thin,
        "--json",
        tmp_path / "compress.json",
    )
    assert result.exit_code == 0, result.output
    values = json.loads((tmp_path / "compress.json").read_text())
    # fc6 is 1024 x 6272, fc7 1024 x 1024.
    saved = 1024 * 6272 - 64 * (1024 + 6272) + 1024 * 1024 - 64 * 2048
    # Both heads have these layers.
    assert values["before"]["parameters"] - values["after"]["parameters"] == 2 * saved
    assert "map_11point" in values["after"]
    assert thin.stat().st_size < (home / "runs" / "first" / "model.safetensors").stat().st_size
    assert frcnn("detect", picture, "--model", thin).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["trian", "voc2007"], 2, "Did you mean 'train'"),
        (["train"], 2, "Give a dataset"),
        (["train", "nowhere"], 2, "nowhere"),
        (["train", "{home}/shapes", "--backbone", "vgg61"], 2, "Did you mean 'vgg16'"),
        (["train", "{home}/shapes", "--weights", "missing.pth"], 1, "missing.pth"),
        (["train", "{home}/shapes", "--device", "gpu"], 2, "--device|Unknown device"),
        (["train", "{home}/shapes", "--learning-rate", "-1"], 2, "learning rate"),
        (["train", "--resume", "{home}/shapes"], 1, "checkpoint"),
        (["train", "--resume", "{home}/none"], 1, "there is no run of this name or folder"),
        (["eval", "--runs", "{home}/none"], 2, "frcnn train"),
        (["eval", "--detections", "{home}/shapes/classes.txt"], 2, "name only the dataset"),
        (
            ["detect", "{home}/shapes", "--proposals", "nope.mat", "--runs", "{home}/runs"],
            1,
            r"nope.mat: proposal file not found",
        ),
        (
            [
                "detect",
                "{home}/shapes",
                "--proposals",
                "{home}/shapes/classes.txt",
                "--runs",
                "{home}/runs",
            ],
            1,
            "is not a proposal file",
        ),
        (["detect", "{home}/*.tiff", "--runs", "{home}/runs"], 2, "matches no files"),
        (["detect", "{home}/shapes", "--scales", "0", "--runs", "{home}/runs"], 2, "cale"),
        (["detect", "missing.jpg", "--runs", "{home}/runs"], 2, "missing.jpg"),
        (["detect", "{home}/empty", "--runs", "{home}/runs"], 2, "no images"),
        (["detect", "{home}/shapes/JPEGImages", "--model", "{home}/shapes"], 2, "is not a run"),
        (["compress", "--runs", "{home}/runs", "--svd-rank", "lots"], 2, "Invalid rank"),
        (["compress", "--runs", "{home}/runs", "--svd-rank", "fc7=900"], 2, "up to rank 511"),
        (["eval", "{home}/runs/first", "{home}/shapes", "--split", "dev"], 2, "dev"),
    ],
)
def test_misuse_ends_in_a_short_message(
    home: Path,
    arguments: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import re

    monkeypatch.setattr(table, "FOLDER", tmp_path)  # a package without models
    (home / "empty").mkdir(exist_ok=True)
    result = frcnn(*(argument.format(home=home) for argument in arguments))
    assert result.exit_code == code, result.output
    assert re.search(words, result.output)
    assert "Traceback" not in result.output
    message = result.output[result.output.find("Error:") :]
    assert len(message.strip().splitlines()) <= 3


def test_a_model_of_other_classes_is_rejected(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert frcnn("data", "generate", other, "--images", 8, "--size", 128, 96).exit_code == 0
    for xml in (other / "Annotations").glob("*.xml"):
        xml.write_text(xml.read_text().replace("<name>disc<", "<name>wheel<"))
    (other / "classes.txt").unlink(missing_ok=True)
    result = frcnn("eval", home / "runs" / "first", other)
    assert result.exit_code == 2
    assert "classes" in result.output


def write_detectron(path: Path, boxes: dict[int, list[list[float]]]) -> Path:
    arrays = [np.array(rows, np.float32) for rows in boxes.values()]
    scores = [np.linspace(1, 0.5, len(rows), dtype=np.float32) for rows in arrays]
    path.write_bytes(pickle.dumps({"indexes": list(boxes), "boxes": arrays, "scores": scores}))
    return path


def test_a_box_outside_its_image_is_named_before_training(home: Path, tmp_path: Path) -> None:
    boxes = {number: [[0.0, 0, 50, 50]] for number in range(1, 13)}
    boxes[2] = [[0.0, 0, 50, 50], [0.0, 0, 500, 50]]
    file = write_detectron(tmp_path / "boxes.pkl", boxes)
    result = frcnn("train", home / "shapes", "--proposals", file, "--out", tmp_path / "run", *FEW)
    assert result.exit_code == 1
    assert "boxes.pkl" in result.output
    assert "outside its image" in result.output


def test_a_file_out_of_step_with_the_data_set_stops_unless_allowed(
    home: Path, tmp_path: Path
) -> None:
    boxes = {number: [[0.0, 0, 50, 50]] for number in [*range(1, 9), 77]}
    file = write_detectron(tmp_path / "boxes.pkl", boxes)
    command = ("train", home / "shapes", "--proposals", file, "--out", tmp_path / "run", *FEW)
    result = frcnn(*command)
    assert result.exit_code == 1
    assert "1 of 9 images has no proposals" in result.output
    assert "77" in result.output
    allowed = frcnn(*command, "--allow-mismatch")
    assert allowed.exit_code == 0, allowed.output
    assert "Skipped: 000009" in allowed.output


def test_training_continues_from_a_compressed_model(home: Path, tmp_path: Path) -> None:
    thin = tmp_path / "thin.safetensors"
    run = home / "runs" / "first"
    assert frcnn("compress", run, "--svd-rank", 32, "--out", thin).exit_code == 0
    result = frcnn(
        "train", home / "shapes", "--proposals", home / "shapes.proposals", "--init", thin,
        "--out", tmp_path / "run", "--iterations", 2, "--scale", 64,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    tuned, _ = load_model(tmp_path / "run" / "model.safetensors")
    truncated = ("fc6", "fc7", "second.fc6", "second.fc7")
    assert tuned.architecture.ranks == dict.fromkeys(truncated, 32)


def test_the_first_fast_rcnns_demo_files_are_taken(
    home: Path, tmp_path: Path, shared_data: Path
) -> None:
    demo = shared_data / "fast-rcnn-demo"
    result = frcnn(
        "detect", demo / "000004.jpg", "--proposals", demo / "000004_boxes.mat", "--viz",
        "--runs", home / "runs", "--out", tmp_path, "--score-threshold", 0,
        "--json", tmp_path / "found.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (tmp_path / "000004.jpg").is_file()
    assert json.loads((tmp_path / "found.json").read_text())
