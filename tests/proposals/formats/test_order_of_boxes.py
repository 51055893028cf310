"""Boxes with scores are read best first, whatever their order in the file."""

from __future__ import annotations

import json
import pickle
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from frcnn_proposals.base import Proposals, best_first
from frcnn_proposals.formats import read_proposals
from frcnn_proposals.formats.inspect import inspect_proposals
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.writer import StoreWriter

# Boxes 1 and 3 are equally good: 1 comes first in every file.
SCORES = [0.25, 0.5, 0.75, 0.5]
ORDER = [2, 1, 3, 0]
X1 = [10, 20, 30, 40]
XYXY = np.array([[x, 5, x + 9, 14] for x in X1], float)
XYWH = np.array([[x, 5, 10, 10] for x in X1], float)


def _pickle(path: Path, value: object) -> Path:
    path.write_bytes(pickle.dumps(value))
    return path


def _mat(path: Path, **variables: object) -> Path:
    scipy.io.savemat(path, variables)
    return path


def _cell(item: object) -> np.ndarray:
    found = np.empty((1, 1), object)
    found[0, 0] = item
    return found


def _store(path: Path) -> Path:
    with StoreWriter(path, Provenance("a"), resume=False) as writer:
        writer.add("7", Proposals(XYXY, SCORES))
        writer.finish()
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    np.savez(path / "7.npz", boxes=XYXY, scores=SCORES)
    return path


def _csv(path: Path) -> Path:
    rows = [",".join(map(str, ["7", *box, score])) for box, score in zip(XYXY, SCORES, strict=True)]
    path.write_text("\n".join(["image,x1,y1,x2,y2,score", *rows]))
    return path


COLUMN = np.array(SCORES)[:, None]
YXYX_1 = XYXY[:, [1, 0, 3, 2]] + 1
BBS = np.column_stack((np.add(XYWH, [1, 1, 0, 0]), SCORES))
RESULTS = [
    {"image_id": 7, "bbox": list(box), "score": score}
    for box, score in zip(XYWH, SCORES, strict=True)
]
SCORED = np.column_stack((XYXY, SCORES))
CONTINUOUS = np.add(XYXY, [0, 0, 1, 1])
MAKERS = {
    "store": lambda p: _store(p / "a.proposals"),
    "npz": lambda p: (np.savez(p / "a.npz", **{"7": SCORED}), p / "a.npz")[1],
    "npz-folder": lambda p: _folder(p / "folder"),
    "csv": lambda p: _csv(p / "a.csv"),
    "coco": lambda p: ((p / "a.json").write_text(json.dumps(RESULTS)), p / "a.json")[1],
    "detectron": lambda p: _pickle(
        p / "a.pkl", {"boxes": [XYXY], "scores": [np.array(SCORES)], "indexes": [7]}
    ),
    "detectron2": lambda p: _pickle(
        p / "a.pkl", {"boxes": [CONTINUOUS], "objectness_logits": [np.array(SCORES)], "ids": ["7"]}
    ),
    "mmdet2": lambda p: _pickle(p / "a.pkl", [np.column_stack((CONTINUOUS, SCORES))]),
    "mmdet3": lambda p: _pickle(
        p / "a.pkl",
        {
            "x/7.jpg": {"bboxes": CONTINUOUS, "scores": np.array(SCORES)},
            "x/8.jpg": {"bboxes": np.zeros((0, 4))},
        },
    ),
    "wsddn-mat": lambda p: _mat(
        p / "a.mat", images=_cell("7"), boxes=_cell(YXYX_1), boxScores=_cell(COLUMN)
    ),
    "hosang-mat": lambda p: _mat(p / "7.mat", boxes=XYXY + 1, scores=COLUMN, num_candidates=[[4]]),
    "mcg-mat": lambda p: _mat(p / "7.mat", bboxes=YXYX_1, scores=COLUMN),
    "edgeboxes-mat": lambda p: _mat(p / "7.mat", bbs=BBS),
}


@pytest.mark.parametrize("format", MAKERS)
def test_every_format_with_scores_is_sorted_by_them(tmp_path: Path, format: str) -> None:
    path = MAKERS[format](tmp_path)
    found = read_proposals(path, format, image_ids=["7"])["7"]
    np.testing.assert_array_equal(found.boxes, XYXY[ORDER])
    np.testing.assert_array_equal(found.scores, np.array(SCORES)[ORDER])
    assert inspect_proposals(path).survey.order.startswith("by score, best first")


def test_inspection_counts_the_images_in_another_order(tmp_path: Path) -> None:
    tables = [SCORED, SCORED[ORDER], np.zeros((0, 5))]
    np.savez(tmp_path / "a.npz", **{str(index): table for index, table in enumerate(tables)})
    order = inspect_proposals(tmp_path / "a.npz").survey.order
    assert order == "by score, best first; 1 of 3 images has another order in the file"


def test_without_scores_the_order_is_that_of_the_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{"7": XYXY[ORDER]})
    np.testing.assert_array_equal(read_proposals(tmp_path / "a.npz")["7"].boxes, XYXY[ORDER])
    assert inspect_proposals(tmp_path / "a.npz").survey.order.startswith("as in the file")


def test_a_store_contains_the_boxes_as_they_were_given(tmp_path: Path) -> None:
    """So the boxes of a source are not changed, only the order in which they are read."""
    with sqlite3.connect(_store(tmp_path / "a.proposals")) as connection:
        ((boxes,),) = connection.execute("SELECT boxes FROM proposals")
    np.testing.assert_array_equal(np.frombuffer(boxes, "<f4").reshape(-1, 4), XYXY)


def test_the_best_boxes_are_not_the_first() -> None:
    """A source's or a user's own boxes can be in any order."""
    best = Proposals(XYXY, SCORES).top(2)
    np.testing.assert_array_equal(best.boxes, XYXY[ORDER[:2]])
    np.testing.assert_array_equal(Proposals(XYXY).top(2).boxes, XYXY[:2])


def test_scores_without_a_sign_are_sorted() -> None:
    boxes, scores = best_first(XYXY, np.array([1, 200, 3, 0], np.uint8))
    assert scores.tolist() == [200, 3, 1, 0]
    np.testing.assert_array_equal(boxes, XYXY[[1, 2, 0, 3]])


@pytest.mark.parametrize("values", [5, 10**6])
def test_equal_scores_keep_their_order(values: int) -> None:
    """Among many boxes, with many ties and with a single one."""
    scores = np.random.default_rng(0).permutation(3000) % values
    scores[-1] = scores[7]
    boxes = np.arange(12_000, dtype=np.float32).reshape(-1, 4)
    found, _ = best_first(boxes, scores)
    expected = sorted(range(3000), key=lambda row: (-int(scores[row]), row))
    np.testing.assert_array_equal(found, boxes[expected])
