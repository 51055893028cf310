"""Long integers in a COCO json file, wherever they are in it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from frcnn_cli.engine.datasets.readers import coco_json
from frcnn_cli.engine.datasets.readers.coco_json import load_json


def value_of(path: Path, number: str, before: int = 0) -> Any:
    """The value of a number that is read from a file, with spaces before it."""
    path.write_text(f'{{"images": [{{}}], "categories": [], "value":{" " * before}{number}}}')
    return load_json(path)["value"]


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("other", ["1", "9" * 30])
def test_integers_of_up_to_20_digits_are_exact(tmp_path: Path, sign: str, other: str) -> None:
    for digits in range(15, 25):
        number = sign + "9" * digits
        kind = int if digits <= 20 else float
        value, _ = value_of(tmp_path / "a.json", f"[{number}, {other}]")
        assert (type(value), value) == (kind, kind(number)), number


def test_integers_are_exact_at_each_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco_json, "_BLOCK", 32)
    number = "-9876543210987654321"  # of the fewest digits that can need more than 64 bits
    for before in range(64):
        assert value_of(tmp_path / "a.json", number, before) == int(number), before


def test_the_search_for_long_integers_copies_no_large_file() -> None:
    content = b"123456789 " * 2_000_000
    tracemalloc.start()
    try:
        assert not coco_json._has_long(content)
        assert tracemalloc.get_traced_memory()[1] < len(content) / 4
    finally:
        tracemalloc.stop()
