"""Stores, detections, settings and journals that are truncated, false, or of other kinds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from corpus import BadInput, Ends, cuts, flips, written

from frcnn_proposals.base import Proposals
from frcnn_proposals.formats import write_proposals

INSPECT = ("proposals", "inspect", "a.proposals")
RECALL = ("proposals", "recall", "a.proposals", "--dataset", "HOME/shapes", "--split", "test")
EVAL = ("eval", "HOME/shapes", "--split", "test", "--detections")
TRAIN = ("train", "--config", "a.toml")


def bad_results() -> Iterator[BadInput]:
    yield from bad_stores()
    for name, value in detections().items():
        text = value if isinstance(value, str) else json.dumps(value)
        arguments = (*EVAL, "a.json")
        yield BadInput(f"detections/{name}", written("a.json", text.encode()), arguments, "a.json")
    good = json.dumps([entry(), entry()]).encode()
    for what, content in cuts(good):
        arguments = (*EVAL, "b.json")
        yield BadInput(f"detections/{what}", written("b.json", content), arguments, "b.json")
    for name, text in devkit().items():
        path = "comp4_det_test_disc.txt"
        yield BadInput(f"devkit/{name}", written(path, text), (*EVAL, path), path)
    for name, text in (devkit() | per_image()).items():
        path = "000010.txt"
        yield BadInput(f"text per image/{name}", written(path, text), (*EVAL, path), path)
    for name, text in settings().items():
        yield BadInput(f"TOML/{name}", written("a.toml", text), TRAIN, "a.toml")
    for name, text in journals().items():
        for path in ("a.json.partial", "a.json.rank1.partial"):
            yield BadInput(f"journal/{path}/{name}", written(path, text), _DETECT, path)


_DETECT = (
    *("detect", "HOME/shapes/JPEGImages", "--model", "HOME/model.safetensors"),
    *("--source", "dense", "--json", "a.json"),
)


def bad_stores() -> Iterator[BadInput]:
    def damaged(damage: Callable[[bytes], bytes]) -> Callable[[Path], None]:
        def make(folder: Path) -> None:
            path = good_store(folder)
            path.write_bytes(damage(path.read_bytes()))

        return make

    def after(*statements: str) -> Callable[[Path], None]:
        def make(folder: Path) -> None:
            connection = sqlite3.connect(good_store(folder), isolation_level=None)
            connection.execute("PRAGMA writable_schema = ON")
            for statement in statements:
                connection.execute(statement)
            connection.close()

        return make

    def store(
        name: str,
        make: Callable[[Path], object],
        ends: Ends = "message",
        recall_ends: Ends = "message",
    ) -> Iterator[BadInput]:
        yield BadInput(f"store/{name}", make, INSPECT, "a.proposals", ends)
        yield BadInput(f"store/{name}, recall", make, RECALL, "a.proposals", recall_ends)

    for share in (0, 1, 50, 99):
        cut = damaged(lambda all, s=share: all[: len(all) * s // 100])
        yield from store(f"cut at {share}%", cut)
    for seed in range(10):
        changed = damaged(lambda all, s=seed: dict(flips(all, 1, s))["changed 0"])
        yield from store(f"changed {seed}", changed, "either", "either")
    yield from store("twice as long", damaged(lambda all: all * 2))
    yield from store(
        "nulls after the header", damaged(lambda all: all[:100] + bytes(len(all) - 100))
    )
    for name, statements in {
        "a trigger": ("CREATE TRIGGER t AFTER INSERT ON about BEGIN DELETE FROM about; END",),
        "a view": ("DROP TABLE failures", "CREATE VIEW failures AS SELECT 1 AS id, 2 AS digest"),
        "an additional table": ("CREATE TABLE more (x)",),
        "a missing table": ("DROP TABLE failures",),
        "a newer version": ("PRAGMA user_version = 99",),
        "a different schema": (
            "UPDATE sqlite_master SET sql = 'CREATE TABLE proposals (id, x)' "
            "WHERE name = 'proposals'",
        ),
        "no provenance": ("DELETE FROM about",),
        "a provenance of text": ("UPDATE about SET value = 'mine' WHERE key = 'provenance'",),
        "a provenance of lists in lists": (
            f"UPDATE about SET value = '{'[' * 100_000}' WHERE key = 'provenance'",
        ),
        "-1 images": ("UPDATE about SET value = '-1' WHERE key = 'images'",),
        "boxes of text": ("UPDATE proposals SET boxes = 'boxes'",),
        "boxes of 7 bytes": ("UPDATE proposals SET boxes = x'00112233445566'",),
        "boxes of NaN": ("UPDATE proposals SET boxes = x'0000c07f0000c07f0000c07f0000c07f'",),
        "scores of a number": ("UPDATE proposals SET scores = 5",),
        "ids of nothing": ("UPDATE proposals SET id = NULL",),
        "ids of numbers": ("UPDATE proposals SET id = 5 WHERE id = '000010'",),
        "ids of a hundred lines, boxes of text": (
            "UPDATE proposals SET id = replace(hex(zeroblob(50)), '0', 'a' || char(10)) || id",
            "UPDATE proposals SET boxes = 'boxes'",
        ),
        "a size of text": ("UPDATE proposals SET width = 'wide', height = 'high'",),
        "a size of -1": ("UPDATE proposals SET width = -1, height = -1",),
    }.items():
        yield from store(name, after(*statements), "either")
    many = after(f"UPDATE about SET value = '{10**12}' WHERE key = 'images'")
    yield from store("10^12 images", many, "either", "either")


def good_store(folder: Path) -> Path:
    """Write a store for the dataset's test split."""
    path = folder / "a.proposals"
    boxes = Proposals(np.array([[1, 2, 30, 40]]))
    write_proposals(path, dict.fromkeys(("000010", "000011", "000012"), boxes), "store")
    return path


def entry(**values: Any) -> dict[str, Any]:
    good = {"image_id": "000010", "category_id": 1, "bbox": [1, 2, 20, 30], "score": 0.5}
    return {key: value for key, value in (good | values).items() if value is not ...}


def detections() -> dict[str, Any]:
    """COCO results that cannot be scored."""
    return {
        **{f"without {key}": [entry(**{key: ...})] for key in entry()},
        "a number": 5,
        "null": None,
        "an object": {"x": []},
        "a list of numbers": [1, 2],
        "a list of lists": [[1], [2]],
        "null entries": [None],
        "nulls": "\0" * 100,
        "nested lists": "[" * 100_000,
        "a lone surrogate": '[{"image_id": "\\ud800"}]',
        "of another dataset": [entry(image_id="elsewhere")],
        "of a name of 100,000 letters": [entry(image_id="x" * 100_000)],
        "two long names of one image": [
            entry(image_id=f"{letter * 5000}/000010.jpg") for letter in "ab"
        ],
        "an image_id of 10.5": [entry(image_id=10.5)],
        "an image_id of a list": [entry(image_id=[1])],
        "an image_id of null": [entry(image_id=None)],
        "an unknown category": [entry(category_id=77)],
        "a category of a list": [entry(category_id=[1])],
        "an unknown category name": [entry(category="unicorn")],
        "a category of a hundred lines": [entry(category="uni\n" * 100)],
        "an image_id of a hundred lines": [entry(image_id="3\n" * 100)],
        "a category of a list as its name": [entry(category=["circle"])],
        "a bbox of three": [entry(bbox=[1, 2, 3])],
        "a bbox of texts": [entry(bbox=["1", "2", "3", "4"])],
        "a bbox of a text": [entry(bbox="1234")],
        "a bbox of lists": [entry(bbox=[[1], [2], [3], [4]])],
        "a bbox of null": [entry(bbox=None)],
        "a bbox of 10^400": [entry(bbox=[10**400, 1, 1, 1])],
        "a bbox of 1e999": json.dumps([entry(bbox=[1, 2, 3, 4])]).replace("2,", "1e999,"),
        "a reversed bbox": [entry(bbox=[20, 20, -10, -10])],
        "a score of text": [entry(score="high")],
        "a score of a list": [entry(score=[0.5])],
        "a score of null": [entry(score=None)],
        "a score of NaN": json.dumps([entry(score=float("nan"))]),
    }


def devkit() -> dict[str, bytes]:
    return {
        "no numbers": b"000010 high one two three four\n",
        "too few": b"000010 0.5 1 2 3\n",
        "too many": b"000010 0.5 1 2 3 4 5\n",
        "NaN": b"000010 nan 1 2 3 4\n",
        "infinity": b"000010 0.5 1 2 inf 4\n",
        "reversed": b"000010 0.5 30 30 3 4\n",
        "of another dataset": b"elsewhere 0.5 1 2 3 4\n",
        "nulls": bytes(1000),
        "an unknown encoding": b"\xff\xfd\xfa\n",
        "a number of 100,000 digits": b"000010 0.5 " + b"9" * 100_000 + b" 2 3 4\n",
    }


def per_image() -> dict[str, bytes]:
    return {
        "fractions without a score": b"0 0.5 0.5 0.1 0.1\n",
        "a class number over all": b"7 0.5 0.5 0.1 0.1 0.9\n",
        "a class number of 100,000 digits": b"9" * 100_000 + b" 0.5 0.5 0.1 0.1 0.9\n",
        "fractions of NaN": b"0 nan 0.5 0.1 0.1 0.9\n",
        "a negative width": b"0 0.5 0.5 -0.5 0.1 0.9\n",
        "a reversed box": b"disc 0.5 30 30 3 4\n",
        "an unknown class": b"unicorn 0.5 1 2 3 4\n",
    }


def settings() -> dict[str, bytes]:
    return {
        "not TOML": b"[[[[",
        "nulls": bytes(100),
        "an unknown encoding": b"\xff\xfd\xfa",
        "nested lists": b"a = " + b"[" * 100_000,
        "nested tables": b"[a" + b".a" * 20_000 + b"]\n",
        "an unknown setting": b"[train]\nspeed = 9\n",
        "an unknown section": b"[engine]\nseed = 9\n",
        "a text for a number": b"[train]\nseed = 'nine'\n",
        "a name of a hundred lines": b'[train]\n"' + b"a\\n" * 100 + b'" = 1\n',
        "a text of a hundred lines": b'[train]\nseed = "' + b"a\\n" * 100 + b'"\n',
        "a list for a number": b"[train]\nseed = [9]\n",
        "a number of 6,000 digits": b"[train]\nseed = 0x" + b"f" * 6000 + b"\n",
        "a fraction of 6,000 digits": b"[schedule]\nlearning_rate = 0x" + b"f" * 6000 + b"\n",
        "numbers of 6,000 digits in a list": b"[train]\nseed = [0x" + b"f" * 6000 + b"]\n",
        "a path with a null": b'[data]\nroot = "a\\u0000b"\n',
        "a date for a number": b"[train]\nseed = 2001-01-01\n",
        "infinity": b"[train]\nmomentum = inf\n",
        "NaN": b"[schedule]\nlearning_rate = nan\n",
        "a name of 5 million letters": b"a" * 5_000_000 + b" = 1\n",
    }


def journals() -> dict[str, bytes]:
    """Journals from which `detect --json` would resume."""
    return {
        "text": b"precious notes of somebody\n",
        "a number": b"5\n",
        "a list": b"[]\n",
        "nested lists": b"[" * 100_000 + b"\n",
        "another format": b'{"format": "frcnn detections, unfinished, 99", "identity": {}}\n',
        "another identity": b'{"format": "frcnn detections, unfinished, 1", "identity": {}}\n',
        "an identity of a list": b'{"format": "frcnn detections, unfinished, 1", "identity": []}\n',
    }
