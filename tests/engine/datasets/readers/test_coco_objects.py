"""Annotations that are read together give the objects and faults of those read one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frcnn_cli.engine.datasets.layout import Fault
from frcnn_cli.engine.datasets.readers import coco_truth
from frcnn_cli.engine.datasets.readers.coco import CocoLayout
from frcnn_cli.engine.datasets.readers.coco_json import load_json

NAN, INFINITE = float("nan"), float("inf")


def write(folder: Path, annotations: list[dict[str, Any]], images: int = 3) -> Path:
    """A dataset of images of 100 x 80; the last one is of unknown size."""
    listed = [
        {"id": n, "file_name": f"{n}.jpg", "width": 100, "height": 80} for n in range(1, images + 1)
    ]
    listed[-1] |= {"width": None, "height": None}
    categories = [{"id": 7, "name": "ant"}, {"id": 9, "name": "bee"}]
    content = {"images": listed, "annotations": annotations, "categories": categories}
    path = folder / "instances_train.json"
    path.write_text(json.dumps(content))
    return path


def usual(image: int, **changes: Any) -> dict[str, Any]:
    entry = {"image_id": image, "category_id": 7, "bbox": [1, 2.5, 30, 40], "area": 90.5}
    return entry | {"iscrowd": 0} | changes


def read(path: Path) -> tuple[list[bytes | str], list[Fault]]:
    """The columns of all objects, and the faults, in their order."""
    faults: list[Fault] = []
    dataset = CocoLayout(path).read("train", "made", faults.append)
    columns: list[bytes | str] = []
    for image in dataset.images:
        truth: Any = image.truth
        for values in (truth.boxes, truth.labels, truth.difficult, truth.crowd, truth.area):
            columns += [str(values.dtype), values.tobytes()]
    return columns, faults


CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "crowd": {"iscrowd": 1},
    "difficult crowd": {"iscrowd": True, "difficult": 1},
    "flag as text": {"iscrowd": "1"},
    "invalid flag": {"difficult": 2},
    "flag as a list": {"difficult": []},
    "no flag": {"iscrowd": None},
    "area missing": {"area": None},
    "area not finite": {"area": NAN},
    "area as text": {"area": "9"},
    "area as a whole number": {"area": 12},
    "unknown class": {"category_id": 8},
    "class as text": {"category_id": "9"},
    "class as a decimal": {"category_id": 9.0},
    "class true": {"category_id": True},
    "no box": {"bbox": []},
    "polygon": {"bbox": None, "segmentation": [[1, 1, 9, 1, 9, 9]]},
    "three numbers": {"bbox": [1, 2, 3]},
    "numbers as text": {"bbox": ["1", "2", "30", "40"]},
    "whole numbers": {"bbox": [1, 2, 30, 40]},
    "huge number": {"bbox": [1, 2, 30, 10**25]},
    "infinite": {"bbox": [1, 2, INFINITE, 40]},
    "beyond float32": {"bbox": [1, 2, 1e300, 40]},
    "no area": {"bbox": [1, 2, 0, 40]},
    "negative": {"bbox": [1, 2, 3, -40]},
    "outside by less than a pixel": {"bbox": [-0.75, 2, 30, 78.5]},
    "outside by less than a pixel, completely": {"bbox": [99.5, 2, 0.5, 40]},
    "above by less than a pixel, completely": {"bbox": [1, -0.75, 30, 0.5]},
    "left by less than a pixel, completely": {"bbox": [-0.75, 2, 0.5, 40]},
    "outside by ten pixels": {"bbox": [80, 2, 30, 40]},
    "completely outside": {"bbox": [300, 2, 30, 40]},
}


@pytest.mark.parametrize("image", [1, 3])
@pytest.mark.parametrize("change", CHANGES)
def test_objects_read_together_are_those_read_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, image: int
) -> None:
    entries = [usual(1), usual(3, category_id=9), usual(image, **CHANGES[change]), usual(3)]
    path = write(tmp_path, entries)
    found = read(path)
    monkeypatch.setattr(coco_truth._Columns, "read", lambda *_: None)
    assert found == read(path)
    assert len(found[0]) == 3 * 10


def test_many_annotations_are_read_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only those of an image with an unusual box are read one by one."""
    rng = np.random.default_rng(0)
    entries = [
        usual(int(image), bbox=(rng.uniform(1, 30, 4)).tolist()) for image in rng.integers(1, 9, 50)
    ]
    entries[20] |= {"bbox": [1, 2, 0, 4]}
    path = write(tmp_path, entries, images=9)
    calls: list[int] = []
    one_by_one = coco_truth._object_truth

    def counting(path: Path, image: Any, *rest: Any) -> Any:
        calls.append(image.number)
        return one_by_one(path, image, *rest)

    monkeypatch.setattr(coco_truth, "_object_truth", counting)
    read(path)
    assert calls == [entries[20]["image_id"]]


@pytest.mark.parametrize(
    "text",
    ["NaN", "1e400", "[12345678901234567890]", "1234567890123456789012", '"\\ud800"', "-0", "-0.0"],
)
def test_values_that_another_parser_rejects_or_changes_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'{{"images": [1], "categories": [], "value": {text}}}')
    expected = json.loads(text, parse_int=lambda n: int(n) if len(n) < 21 else float(n))
    value = load_json(path)["value"]
    assert type(value) is type(expected)
    assert repr(value) == repr(expected)
