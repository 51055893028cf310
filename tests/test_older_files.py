"""Files that version 0.1.0 wrote still load, and work that it left unfinished still resumes.

tests/fixtures/format_2 contains them; its README describes how they were created. Only commands,
files and the imports in docs/proposals.md are used here, so that the code behind them can move.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from called import frcnn

from frcnn_proposals.formats import read_proposals
from frcnn_proposals.store import open_store

FIXTURES = Path(__file__).parent / "fixtures" / "format_2"
RECORDED: dict[str, Any] = json.loads((FIXTURES / "recorded.json").read_text())
MADE_IN = "/home/user/detector"  # the folder in which the files were written
IMAGES = "data/shapes/JPEGImages"
DETECT = ("detect", f"{IMAGES}/00000[1-6].jpg", "--score-threshold", 0.01)
# Processors add in different orders. Measured with AVX-512, and limited to AVX2 and to SSE4:
# scores within 0.000006, boxes within 0.001 pixels, losses within 0.00001 of their value.
SCORES, PIXELS, LOSSES = 2e-5, 5e-3, 1e-4

Row = tuple[str, str, float, float, float, float, float]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("older")
    for archive in sorted(FIXTURES.glob("*.tar.xz")):
        with tarfile.open(archive) as members:
            members.extractall(folder, filter="data")
    yield folder
    shutil.rmtree(folder)  # 250 MB of constant weights


@pytest.fixture
def home(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the files, as current folder. No two tests change the same file."""
    monkeypatch.chdir(unpacked)
    monkeypatch.setenv("FRCNN_CACHE", str(unpacked / "cache"))
    monkeypatch.setenv("FRCNN_DATA", str(unpacked / "data"))
    return unpacked


def run(*arguments: object, code: int = 0) -> str:
    result = frcnn(*arguments)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())  # however the lines were broken


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def rows(entries: list[dict[str, Any]]) -> list[Row]:
    """COCO results as sorted rows: image, category, box, score."""
    return sorted((each["image_id"], each["category"], *each["bbox"], each["score"])
                  for each in entries)  # fmt: skip


def assert_close(entries: list[dict[str, Any]], recorded: list[list[Any]]) -> None:
    """The same detections within the tolerances, whichever order near equal scores have."""
    found = rows(entries)
    assert len(found) == len(recorded)
    left = [tuple(row) for row in recorded]
    for row in found:
        same = [
            other
            for other in left
            if row[:2] == other[:2]
            and row[2:6] == pytest.approx(other[2:6], abs=PIXELS)
            and row[6] == pytest.approx(other[6], rel=SCORES, abs=SCORES)
        ]
        assert same, f"{row} is not recorded"
        left.remove(same[0])


def journalled(path: Path, classes: list[str]) -> dict[str, list[Row]]:
    """The detections in a journal by image, read here line by line."""
    found: dict[str, list[Row]] = {}
    for line in map(json.loads, path.read_text().splitlines()[1:]):
        found[line["image_id"]] = sorted(
            (line["image_id"], classes[label - 1], x1, y1, x2 - x1 + 1, y2 - y1 + 1, score)
            for (x1, y1, x2, y2), label, score in zip(
                line["boxes"], line["labels"], line["scores"], strict=True
            )
        )
    return found


def mark_first_image(journal: Path) -> str:
    """Give the first image of a journal scores that no model would; its id.

    So that a result shows whether it comes from the journal or was computed again.
    """
    head, first, *others = journal.read_text().splitlines()
    entry = json.loads(first)
    entry["scores"] = [0.984375] * len(entry["scores"])
    journal.write_text("\n".join([head, json.dumps(entry), *others]) + "\n")
    return str(entry["image_id"])


def assert_kept(journal: dict[str, list[Row]], results: Path) -> None:
    """Every image of the journal has its detections in the results."""
    found = rows(read_json(results))
    for image_id, expected in journal.items():
        of_image = [row for row in found if row[0] == image_id]
        assert len(of_image) == len(expected) > 0
        for row, other in zip(of_image, expected, strict=True):
            assert row[:2] == other[:2]
            assert row[2:] == pytest.approx(other[2:], rel=1e-6, abs=1e-4)  # one is float32


@pytest.mark.parametrize("model", RECORDED["models"])
def test_models_detect_the_same_as_before(home: Path, tmp_path: Path, model: str) -> None:
    """Every backbone, in float32 and bfloat16, compressed, with SVMs, and a run's folder."""
    threshold = -100 if model.endswith("svm.safetensors") else 0
    run("detect", f"{IMAGES}/000001.jpg", "--model", model, "--proposals", "grid.proposals",
        "--score-threshold", threshold, "--json", tmp_path / "found.json")  # fmt: skip
    assert_close(read_json(tmp_path / "found.json"), RECORDED["models"][model])


def test_a_model_says_how_it_was_made(home: Path, tmp_path: Path) -> None:
    said = run("model", "info", "models/svd-half.safetensors", "--json", tmp_path / "info.json")
    assert "fc6 6, fc7 4" in said
    assert "compressed from" in said
    assert "svm" in run("model", "info", "models/svm.safetensors")


def assert_resumes(name: str, at: int) -> None:
    """Resume the run at this iteration, to the losses of one that was not interrupted."""
    said = run("train", "--resume", f"runs/{name}", "--device", "cpu")
    assert f"after iteration {at} of 8" in said
    losses = read_losses(Path("runs", name))
    assert list(losses) == list(range(1, 9))
    assert list(losses.values()) == pytest.approx(RECORDED["losses"][name], rel=LOSSES)
    assert "has finished" in run("train", "--resume", f"runs/{name}")


def read_losses(folder: Path) -> dict[int, float]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {line["iteration"]: line["loss"] for line in lines}


def listed(name: str, path: Path) -> dict[str, Any]:
    """The entry of a run in `frcnn runs`."""
    run("runs", "--json", path)
    return next(each for each in read_json(path)["runs"] if Path(each["folder"]).name == name)


def detected(model: str, path: Path) -> list[dict[str, Any]]:
    run("detect", f"{IMAGES}/000001.jpg", "--model", model, "--proposals", "grid.proposals",
        "--score-threshold", -100 if model == "runs/adamw" else 0, "--json", path)  # fmt: skip
    found: list[dict[str, Any]] = read_json(path)
    return found


def test_an_interrupted_run_resumes(home: Path, tmp_path: Path) -> None:
    """SGD, evaluated on val during training; killed two iterations after its last checkpoint."""
    cache = home / "cache" / "proposals" / "shapes-dense-ccfd09df8acd.proposals"
    stored = cache.read_bytes()
    before = listed("sgd", tmp_path / "runs.json")
    assert (before["iteration"], before["iterations"], before["finished"]) == (3, 8, False)
    assert_resumes("sgd", at=3)
    evaluations = (home / "runs" / "sgd" / "evaluations.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in evaluations] == [2, 4, 6, 8]
    assert listed("sgd", tmp_path / "runs.json")["finished"]
    found = detected("runs/sgd", tmp_path / "found.json")
    assert_close(found, RECORDED["models"]["runs/finished"])
    assert cache.read_bytes() == stored  # the stored proposals were used


def test_a_run_interrupted_in_its_second_stage_resumes(home: Path, tmp_path: Path) -> None:
    """AdamW, boxes after classes, SVMs fitted at the end."""
    assert_resumes("adamw", at=6)
    found = detected("runs/adamw", tmp_path / "found.json")
    assert_close(found, RECORDED["models"]["models/svm.safetensors"])


def test_a_run_without_a_checkpoint_begins_again(home: Path) -> None:
    setting = home / "runs" / "begun" / "setting.toml"
    setting.write_text(setting.read_text().replace(MADE_IN, str(home)))
    assert "no checkpoint yet" in run("train", "--resume", "runs/begun", "--device", "cpu")
    losses = list(read_losses(home / "runs" / "begun").values())
    assert losses == pytest.approx(RECORDED["losses"]["begun"], rel=LOSSES)


def test_a_finished_run_is_read(home: Path, tmp_path: Path) -> None:
    found = listed("finished", tmp_path / "runs.json")
    assert (found["iteration"], found["finished"], found["map"]) == (8, True, 0.0)
    assert "has finished" in run("train", "--resume", "runs/finished")


def test_an_older_setting_begins_another_run(home: Path, tmp_path: Path) -> None:
    """The settings that `frcnn train --config` reads from it."""
    setting, path = tmp_path / "setting.toml", tmp_path / "all.json"
    text = (home / "runs" / "finished" / "setting.toml").read_text()
    setting.write_text(text.replace(MADE_IN, str(home)))
    run("config", "show", "--config", setting, "--json", path)
    settings = {each["name"]: each["value"] for each in read_json(path)["settings"]}
    assert settings["train.frozen"] == "features"
    assert settings["schedule.iterations"] == 8


def test_interrupted_detection_resumes(home: Path, tmp_path: Path) -> None:
    """With given boxes; all results except the marked ones equal those of an uninterrupted run."""
    image_id = mark_first_image(home / "given.json.partial")
    given = ("--model", "runs/finished", "--proposals", "grid.proposals")
    said = run(*DETECT, *given, "--json", "given.json")
    assert "4 images are done" in said
    assert not (home / "given.json.partial").exists()
    results = read_json(home / "given.json")
    marked = [each["score"] for each in results if each["image_id"] == image_id]
    assert marked == [0.984375] * 24
    others = [each for each in results if each["image_id"] != image_id]
    assert_close(others, [row for row in RECORDED["given"] if row[0] != image_id])


def test_interrupted_detection_with_the_usual_proposals_resumes(home: Path) -> None:
    mark_first_image(home / "made.json.partial")
    classes = (home / "data" / "shapes" / "classes.txt").read_text().split()
    journal = journalled(home / "made.json.partial", classes)
    model = ("--model", "models/efficientnet_lite0.safetensors")
    said = run(*DETECT, *model, "--json", "made.json")
    assert "5 images are done" in said
    assert_kept(journal, home / "made.json")
    assert {each["image_id"] for each in read_json(home / "made.json")} == set(journal) | {"000006"}


def test_an_interrupted_evaluation_resumes(home: Path, tmp_path: Path) -> None:
    """Its journal and its proposals lie in the cache, under names that must stay the same."""
    [path] = (home / "cache" / "detections").iterdir()
    stores = sorted((home / "cache" / "proposals").iterdir())
    mark_first_image(path)
    classes = (home / "data" / "shapes" / "classes.txt").read_text().split()
    journal = journalled(path, classes)
    said = run("eval", "runs/finished", "shapes", "--split", "test", "--source",
               "selective-search", "--save-detections", tmp_path / "found.json")  # fmt: skip
    assert "2 images are done" in said
    assert_kept(journal, tmp_path / "found.json")
    assert not path.exists()
    assert sorted((home / "cache" / "proposals").iterdir()) == stores


def test_results_have_the_same_scores_as_before(home: Path, tmp_path: Path) -> None:
    run("eval", "--detections", "results.json", "shapes", "--split", "trainval",
        "--json", tmp_path / "scores.json")  # fmt: skip
    scores, recorded = read_json(tmp_path / "scores.json"), RECORDED["evaluation"]
    assert scores["counts"] == recorded["counts"]
    assert scores["voc"]["map_11point"] == pytest.approx(recorded["voc"], abs=1e-9)
    assert scores["voc"]["map_area"] == pytest.approx(recorded["voc_area"], abs=1e-9)
    for name in ("ap", "ap50", "ap75", "ar_100"):
        assert scores["coco"][name] == pytest.approx(recorded["coco"][name], abs=1e-9)


@pytest.mark.parametrize("name", RECORDED["boxes"])
def test_stores_hold_the_same_boxes(home: Path, name: str) -> None:
    store, boxes = open_store(name), read_proposals(name)
    for image_id, expected in RECORDED["boxes"][name].items():
        assert store[image_id].boxes.tolist() == expected
        assert boxes[image_id].boxes.tolist() == expected
    source = "grid" if name.startswith("grid") else "selective-search"
    assert store.provenance.source == source
    run("proposals", "inspect", name)


def proposed(path: Path, *arguments: object, code: int = 0) -> tuple[int, int]:
    """The numbers of images that `frcnn propose` computed and reused."""
    run("propose", *arguments, "--workers", 1, "--json", path, code=code)
    counts = read_json(path)
    return counts["computed"], counts["reused"]


def test_an_interrupted_store_resumes(home: Path, tmp_path: Path) -> None:
    """Killed, with all of its rows still in the write-ahead log of SQLite."""
    path = tmp_path / "done.json"
    assert proposed(path, "data/shapes", "--out", "interrupted.proposals") == (7, 5)
    assert not (home / "interrupted.proposals.partial").exists()
    store = open_store(home / "interrupted.proposals")
    assert len(store) == 12
    for image_id, expected in RECORDED["boxes"]["shard-1.proposals"].items():
        assert store[image_id].boxes.tolist() == expected


def test_nothing_in_older_stores_is_computed_again(home: Path, tmp_path: Path) -> None:
    """Nor does an image change its shard; an image that failed fails again."""
    path = tmp_path / "done.json"
    for number, count in ((1, 7), (2, 5)):
        words = ("data/shapes", "--shard", f"{number}/2", "--out", f"shard-{number}.proposals")
        assert proposed(path, *words) == (0, count)
    assert proposed(path, "photos", "--out", "photos.proposals", code=1) == (0, 4)
    assert [each["id"] for each in read_json(path)["failures"]] == ["cut"]


def test_older_shards_merge(home: Path, tmp_path: Path) -> None:
    run("proposals", "merge", "shard-1.proposals", "shard-2.proposals", "--out", tmp_path / "all")
    merged = open_store(tmp_path / "all")
    parts = [open_store(f"shard-{number}.proposals") for number in (1, 2)]
    assert sorted(merged) == sorted(image_id for part in parts for image_id in part)
    for image_id in merged:
        expected = next(part[image_id] for part in parts if image_id in part)
        assert merged[image_id].boxes.tolist() == expected.boxes.tolist()
