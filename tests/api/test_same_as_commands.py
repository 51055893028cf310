"""The same settings give the same boxes, averages and files as the commands, to the bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from called import frcnn as command

import frcnn

MODEL = "runs/small"
IMAGES = "shapes/JPEGImages"
# Options of the command, and the same as keyword arguments.
DETECTION: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("--score-threshold 0.05 --top-k 7", {"score_threshold": 0.05, "top_k": 7}),
    ("--classes square,star --nms-iou 0.6", {"classes": ["square", "star"], "nms_iou": 0.6}),
    ("--tta flip", {"flip": True}),
    ("--scales 48,64 --box-voting 0.5", {"scales": [48, 64], "box_voting": 0.5}),
    ("--scales one --no-box-regression", {"scales": (), "box_regression": False}),
    ("--precision float32", {"precision": "float32"}),
    ("--proposals shapes.proposals", {"proposals": "shapes.proposals"}),
    ("--source selective-search", {"source": "selective-search"}),
    ("--tile 64 --overlap 0.3 --top-k 90", {"tile": 64, "overlap": 0.3, "top_k": 90}),
    ("--proposals shapes.proposals --tile 70", {"proposals": "shapes.proposals", "tile": 70}),
    ("--param step=0.4 --param scales=[64]", {"parameters": {"step": 0.4, "scales": [64]}}),
]


@pytest.mark.parametrize(("options", "keywords"), DETECTION, ids=[text for text, _ in DETECTION])
def test_detect(options: str, keywords: dict[str, Any], at_home: Path, tmp_path: Path) -> None:
    out = tmp_path / "detections.json"
    result = command("detect", IMAGES, "--model", MODEL, "--json", out, *options.split())
    assert result.exit_code == 0, result.output
    expected = json.loads(out.read_text())
    detector = frcnn.Detector.load(MODEL, **keywords)
    paths = sorted(Path(IMAGES).iterdir())
    assert entries([detector.detect(path) for path in paths]) == expected
    assert entries(detector.detect(paths)) == expected
    assert entries(detector.detect_files(IMAGES).detections.values()) == expected
    assert len(expected) > 0


def entries(detections: Any) -> list[dict[str, Any]]:
    return [entry for found in detections for entry in found.to_coco()]


def test_detect_writes_the_same_files(at_home: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "command", tmp_path / "python"
    result = command(
        "detect", IMAGES, "--model", MODEL, "--json", first / "d.json", "--viz", "--out", first,
        "--csv", first / "d.csv", "--yolo", first / "yolo", "--save-crops", first / "crops",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    frcnn.Detector.load(MODEL).detect_files(
        IMAGES,
        json=second / "d.json",
        csv=second / "d.csv",
        viz=second,
        yolo=second / "yolo",
        save_crops=second / "crops",
    )
    assert contents(first) == contents(second)
    assert len(contents(first)) > 12 + 2 + 13 + 12


@pytest.mark.parametrize(
    ("options", "keywords"),
    [
        ("", {}),
        ("--top-k 5 --tta flip --split val", {"top_k": 5, "flip": True, "split": "val"}),
        ("--proposals shapes.proposals", {"proposals": Path("shapes.proposals")}),
        ("--no-coco", {"coco": False}),
    ],
)
def test_evaluate(options: str, keywords: dict[str, Any], at_home: Path, tmp_path: Path) -> None:
    results, found = tmp_path / "scores.json", tmp_path / "found.json"
    result = command(
        "eval", MODEL, "shapes", "--json", results, "--save-detections", found, *options.split()
    )
    assert result.exit_code == 0, result.output
    own = tmp_path / "own.json"
    evaluation = frcnn.evaluate(MODEL, "shapes", save_detections=own, **keywords)
    assert json.loads(json.dumps(evaluation.to_json())) == json.loads(results.read_text())
    assert own.read_bytes() == found.read_bytes()
    split = keywords.get("split")
    coco = keywords.get("coco", True)
    of_file = frcnn.evaluate_detections(own, "shapes", split=split, coco=coco).to_json()
    assert of_file == {**evaluation.to_json(), "trained_on": None}  # a file names no model


def test_evaluate_the_detections_of_a_detector(at_home: Path) -> None:
    dataset = frcnn.find_dataset("shapes")
    detector = frcnn.Detector.load(MODEL, score_threshold=0, proposals="shapes.proposals")
    found = {image.image_id: detector.detect(image.path) for image in dataset.images}
    scored = frcnn.evaluate_detections(found, "shapes")
    expected = frcnn.evaluate(MODEL, "shapes", proposals="shapes.proposals")
    assert scored.to_json() == {**expected.to_json(), "trained_on": None}  # no model is named


@pytest.mark.parametrize(
    ("options", "keywords", "name"),
    [
        ("--svd-rank 8", {"svd_rank": 8}, "svd-8"),
        ("--svd-rank fc6=9,fc7=4", {"svd_rank": {"fc6": 9, "fc7": 4}}, "svd-fc69-fc74"),
        ("--energy 0.5 --half", {"energy": 0.5, "half": True}, "energy-0.5-half"),
    ],
)
def test_compress(
    options: str, keywords: dict[str, Any], name: str, at_home: Path, tmp_path: Path
) -> None:
    model = at_home / MODEL / "model.safetensors"
    result = command("compress", model, *options.split(), "--out", tmp_path / "a.safetensors")
    assert result.exit_code == 0, result.output
    compressed = frcnn.compress(model, **keywords)
    assert compressed.path == model.with_name(f"model-{name}.safetensors")
    assert compressed.path.read_bytes() == (tmp_path / "a.safetensors").read_bytes()
    compressed.path.unlink()


def test_propose(at_home: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.proposals"
    result = command(
        "propose", IMAGES, "--out", out, "--mode", "quality", "--workers", 1, "--shard", "1/2"
    )
    assert result.exit_code == 0, result.output
    made = frcnn.propose(
        IMAGES,
        tmp_path / "b.proposals",
        source="selective-search",
        parameters={"mode": "quality"},
        shard="1/2",
        workers=0,
    )
    first, second = frcnn.read_proposals(out), frcnn.read_proposals(made.path)
    assert list(first) == list(second) != []
    for image_id in first:
        assert first[image_id].boxes.tobytes() == second[image_id].boxes.tobytes()


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("detect nowhere.jpg", lambda: frcnn.Detector.load(MODEL).detect_files("nowhere.jpg")),
        ("detect x --model nowhere", lambda: frcnn.Detector.load("nowhere")),
        ("eval runs/small nowhere", lambda: frcnn.evaluate(MODEL, "nowhere")),
        ("eval runs/small shapes --split x", lambda: frcnn.evaluate(MODEL, "shapes", split="x")),
        ("compress runs/small", lambda: frcnn.compress(MODEL)),
        ("compress runs/small --energy 90", lambda: frcnn.compress(MODEL, energy=90)),
        ("export runs/small --out a.b", lambda: frcnn.export(MODEL, "a.b")),
        ("train nowhere", lambda: frcnn.train("nowhere")),
        ("train shapes --preset x", lambda: frcnn.train("shapes", preset="x")),
        ("train --resume nowhere", lambda: frcnn.resume("nowhere")),
        ("propose shapes --source x", lambda: frcnn.propose("shapes", source="x")),
        ("proposals inspect nowhere", lambda: frcnn.read_proposals("nowhere")),
        ("data generate shapes", lambda: frcnn.generate_dataset("shapes")),
    ],
)  # fmt: skip
def test_errors_have_the_command_s_message(words: str, call: Any, at_home: Path) -> None:
    if words.startswith("detect x"):
        words = words.replace("detect x", f"detect {IMAGES}")
    result = command(*words.split())
    with pytest.raises(frcnn.Error) as caught:
        call()
    assert result.exit_code == caught.value.exit_code != 0
    assert str(caught.value) in result.output


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
