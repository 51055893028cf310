"""The model in the package: its file, its figures, and its detections as recorded.

`python tests/helpers/shipped_voc.py` records the detections again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from shipped_voc import MODEL, RECORD, detections, digest

from frcnn_cli.engine.datasets.readers.voc import VOC_CLASSES
from frcnn_cli.engine.models.file import read_architecture, read_description
from frcnn_cli.engine.models.info import model_info
from frcnn_cli.engine.models.provenance import dataset_fingerprint
from frcnn_cli.engine.models.shipped.table import DEFAULT, listed_model
from frcnn_cli.engine.records import Dataset, ImageRecord

pytestmark = pytest.mark.skipif(
    not MODEL.is_file(), reason=f"the package does not contain {MODEL.name} yet"
)
MOST_BYTES = 16_000_000
LAST_ID = 9963  # of VOC2007
# Images of the official trainval split, the first ten; the model learned from those of test.
OFFICIAL_TRAINVAL = {f"{number:06}" for number in (5, 7, 9, 12, 16, 17, 19, 20, 21, 23)}
COMPARED_SCORE = 0.1
SCORES, PIXELS = 0.01, 1.0  # largest differences


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    assert RECORD.is_file(), "run `python tests/helpers/shipped_voc.py`"
    record: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


def test_the_file_is_the_recorded_one(recorded: dict[str, Any]) -> None:
    assert digest() == recorded["sha256"], "run `python tests/helpers/shipped_voc.py`"
    assert MODEL.stat().st_size <= MOST_BYTES


def test_the_file_is_read_without_running_code() -> None:
    """A safetensors file: the length of its header, JSON, numbers; nothing else."""
    content = MODEL.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    ends = [each["data_offsets"][1] for name, each in header.items() if name != "__metadata__"]
    assert max(ends) == len(content) - 8 - length
    assert read_architecture(MODEL).classes == VOC_CLASSES


def test_the_file_contains_its_training_images_and_no_path() -> None:
    description = read_description(MODEL)
    fingerprint = dataset_fingerprint(description["origin"])
    assert fingerprint is not None
    assert fingerprint.name == "voc2007"
    assert len(fingerprint.images) > 2000
    for word in ("/home", "/tmp", "/root", "/work"):
        assert word not in json.dumps(description)


def test_its_training_images_are_recognized_in_the_official_test_split() -> None:
    """By their ids, whatever the folder, the files and the annotations."""
    fingerprint = dataset_fingerprint(read_description(MODEL)["origin"])
    assert fingerprint is not None
    ids = [f"{number:06}" for number in range(1, LAST_ID + 1)]
    records = (ImageRecord(i, Path(f"/data/VOC2007/JPEGImages/{i}.jpg"), 1, 1) for i in ids)
    dataset = Dataset("/data/VOC2007", "test", VOC_CLASSES, tuple(records))
    seen = fingerprint.seen_of(dataset, dict.fromkeys(ids, "f" * 64))
    assert len(seen) == len(fingerprint.images)
    assert not seen & OFFICIAL_TRAINVAL


def test_the_figures_of_the_table_are_those_of_the_file(tmp_path: Path) -> None:
    listed, costs = listed_model(DEFAULT), model_info(DEFAULT, tmp_path).costs
    assert listed is not None
    assert listed.backbone == read_architecture(MODEL).backbone
    assert listed.parameters in (None, costs.parameters)
    assert listed.multiply_adds in (None, costs.multiply_adds(2000))


def test_detections_are_as_recorded(recorded: dict[str, Any], tmp_path: Path) -> None:
    found = detections(tmp_path)
    assert found.keys() == recorded["detections"].keys()
    assert [each["class"] for each in found["hopper"]][:1] == ["person"]
    assert [each["class"] for each in found["chelsea"]][:1] == ["cat"]
    for name, expected in recorded["detections"].items():
        missing, more = unmatched(expected, found[name]), unmatched(found[name], expected)
        assert (missing, more) == ([], []), name


def unmatched(ones: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those with a score that counts and without a counterpart among the others."""
    rest, alone = list(others), []
    for one in (one for one in ones if one["score"] >= COMPARED_SCORE):
        same = [other for other in rest if is_same(one, other)]
        if same:
            rest.remove(same[0])
        else:
            alone.append(one)
    return alone


def is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    near = all(abs(a - b) <= PIXELS for a, b in zip(one["box"], other["box"], strict=True))
    return one["class"] == other["class"] and near and abs(one["score"] - other["score"]) <= SCORES
