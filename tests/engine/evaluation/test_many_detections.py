"""Files of many detections are read into arrays, without an object per detection."""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path

import numpy as np
import orjson
import pytest
from slopes import peak_bytes, slope

from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.evaluation.readers import coco_results
from frcnn_cli.engine.evaluation.readers.coco_results import ResultsFile
from frcnn_cli.engine.records import Dataset, GroundTruth, ImageRecord
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats import read_proposals

CLASSES = ("ant", "bee", "cat")
IMAGES = tuple(
    ImageRecord(f"i{number}", Path(f"i{number}.jpg"), 500, 500, GroundTruth())
    for number in range(20)
)
DATASET = Dataset("made", "test", CLASSES, IMAGES)


def entries(count: int) -> list[dict]:
    rng = np.random.default_rng(count)
    return [
        {
            "image_id": f"i{number % 20}",
            "category_id": number % 3 + 1,
            "bbox": np.round(rng.random(4) * 200 + 1, 3).tolist(),
            "score": float(rng.random()),
        }
        for number in range(count)
    ]


def write_json(path: Path, rows: list[dict]) -> Path:
    path.write_text(json.dumps(rows))
    return path


def write_text(folder: Path, rows: list[dict]) -> Path:
    folder = folder.with_suffix("")
    folder.mkdir()
    for label, name in enumerate(CLASSES, start=1):
        lines = [
            f"{row['image_id']} {row['score']} {row['bbox'][0]} {row['bbox'][1]} 480 490"
            for row in rows
            if row["category_id"] == label
        ]
        (folder / f"comp4_det_test_{name}.txt").write_text("\n".join(lines))
    return folder


def write_csv(path: Path, rows: list[dict]) -> Path:
    path = path.with_suffix(".csv")
    lines = (",".join(map(str, (r["image_id"], *r["bbox"], r["score"]))) for r in rows)
    path.write_text("\n".join(["image,x,y,w,h,score", *lines]))
    return path


# The most bytes per row: in the file, in arrays that grow in steps, and in their sorted copies.
@pytest.mark.parametrize(
    ("write", "read", "most"),
    [
        (write_json, lambda path: read_detections(path, DATASET), 200),
        (write_text, lambda path: read_detections(path, DATASET), 200),
        (write_csv, read_proposals, 350),
    ],
    ids=["COCO results", "text", "CSV proposals"],
)
def test_memory_per_row_is_that_of_numbers(tmp_path, monkeypatch, write, read, most) -> None:
    monkeypatch.setattr(coco_results, "_BLOCK", 1 << 14)
    peaks = []
    for count in (3_000, 15_000):
        path = write(tmp_path / f"{count}.json", entries(count))
        peaks.append((count, peak_bytes(partial(read, path))))
    assert slope(*peaks) < most


NESTED = [{"a": [{"b": "}, {"}, {"c": '\\"}'}], "d": {}}, {"e": "x" * 300}, {}, {"f": {"g": "]"}}]
LISTS = {
    "empty": [],
    "flat": entries(50),
    "nested": NESTED * 9,
    "not objects": [1, "}", None, [{"a": 1}], {"a": 2}] * 7,
    "many objects in an entry": [{"parts": [{"p": number} for number in range(30)]}] * 4,
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_blocks_of_any_size_contain_all_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: int, indent: int | None
) -> None:
    monkeypatch.setattr(coco_results, "_BLOCK", size)
    path = tmp_path / "found.json"
    text = f" \n{json.dumps(LISTS[name], indent=indent, ensure_ascii=False)} \n"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    blocks = list(ResultsFile.open(path).blocks())
    assert [entry for block in blocks for entry in block] == LISTS[name]
    if name == "flat" and size == 64:
        assert len(blocks) > 10


def loaded(text: str) -> tuple[object, str]:
    """The value of a JSON text, and the start of the error if it has none."""
    try:
        return orjson.loads(text), ""
    except ValueError as error:
        return None, str(error).partition("\n")[0][:100]


def test_faults_are_those_of_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts with one change each: the blocks hold what the whole file holds, or its error."""
    monkeypatch.setattr(coco_results, "_BLOCK", 40)
    whole, rng, path = json.dumps(NESTED[:2] + entries(3)), random.Random(0), tmp_path / "x.json"
    valid = 0
    for _ in range(400):
        place = rng.randrange(len(whole))
        text = whole[:place] + rng.choice(["", ",", "]", "}", "{", '"', "5"]) + whole[place + 1 :]
        path.write_text(text)
        expected, fault = loaded(text)
        if fault:
            with pytest.raises(InputError) as raised:
                list(ResultsFile.open(path).blocks())
            assert fault in str(raised.value)
        elif isinstance(expected, list):
            found = [entry for block in ResultsFile.open(path).blocks() for entry in block]
            assert found == expected
            valid += 1
    assert valid > 50


def test_a_line_of_a_text_file_is_named(tmp_path: Path) -> None:
    write_text(tmp_path / "r", entries(9))
    path = tmp_path / "r" / "comp4_det_test_bee.txt"
    path.write_text(path.read_text() + "\n\ni1 0.5 nan 1 2 3\n")
    with pytest.raises(InputError, match=r"comp4_det_test_bee.txt line 5: a number is not finite"):
        read_detections(tmp_path / "r", DATASET)
