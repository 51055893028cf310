"""`frcnn.Detections`: other forms of them, and how they show themselves."""

from __future__ import annotations

import io
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import PIL.Image
import pytest

import frcnn
from frcnn_cli.engine.records import Detections as EngineDetections

BOXES = np.array([[10, 20, 29, 59], [0, 0, 9, 9], [5.5, 5, 6.25, 9]], np.float32)
SCORES = np.array([0.9, 0.5, 0.25], np.float32)
LABELS = np.array([2, 1, 2])


def made(**more: Any) -> frcnn.Detections:
    return frcnn.Detections(BOXES, SCORES, LABELS, ("cat", "<dog>"), **more)


def test_as_coco_entries() -> None:
    entries = made(image_id="street").to_coco()
    assert entries[0] == {
        "image_id": "street",
        "category_id": 2,
        "category": "<dog>",
        "bbox": [10, 20, 20, 40],
        "score": pytest.approx(0.9),
    }
    assert [entry["image_id"] for entry in made().to_coco(7)] == [7, 7, 7]


def test_as_an_array_and_one_by_one() -> None:
    rows = made().to_numpy()
    assert rows.dtype == np.float32
    assert rows[2].tolist() == [5.5, 5, 6.25, 9, 0.25, 2]
    assert made().take([]).to_numpy().shape == (0, 6)
    assert made().take(made().scores < 0.6) == made().take([1, 2])  # a mask
    assert made().take(1) == made().take([1])
    second = list(made())[1]
    assert second == frcnn.Detection("cat", 0.5, (0.0, 0.0, 9.0, 9.0), 1)
    assert made().names == ["<dog>", "cat", "<dog>"]


def test_a_selection_keeps_classes_and_image() -> None:
    some = made(image_id="street", size=(40, 60)).above(0.5)
    assert isinstance(some, frcnn.Detections)
    assert (some.names, some.image_id, some.size) == (["<dog>", "cat"], "street", (40, 60))
    assert some == made().take([0, 1]) != made()
    assert some != made().take([1, 0])
    assert isinstance(some, EngineDetections)


def test_equality_and_pickles() -> None:
    image = np.zeros((60, 40, 3), np.uint8)
    found = made(image=image)
    assert pickle.loads(pickle.dumps(found)) == found == made()
    assert found != "something else"
    assert found != frcnn.Detections(BOXES, SCORES, LABELS, ("cat", "cow"))
    with pytest.raises(TypeError, match="unhashable"):
        hash(found)
    with pytest.raises(AttributeError, match="cannot assign"):
        found.boxes = BOXES  # type: ignore[misc]


def test_the_repr() -> None:
    assert repr(made(image_id="a")) == "<3 detections in a: <dog> 0.90, cat 0.50, <dog> 0.25>"
    assert repr(frcnn.Detections()) == "<0 detections>"
    many = made().take([0] * 7)
    assert repr(many).endswith("<dog> 0.90, ...>")


def test_drawn_on_their_own_image_or_another(tmp_path: Path) -> None:
    black = np.zeros((60, 40, 3), np.uint8)
    PIL.Image.fromarray(black).save(tmp_path / "a.png")
    drawn = np.asarray(made(image=black).draw())
    assert drawn.shape == black.shape
    assert drawn[30, 10].any()  # the left side of the first box
    for other in (
        made(image=tmp_path / "a.png").draw(),
        made().draw(black),
        made().draw(str(tmp_path / "a.png")),
        made().draw(PIL.Image.fromarray(black)),
        made().draw(black[..., 0]),
    ):
        assert np.array_equal(np.asarray(other), drawn)
    with pytest.raises(frcnn.Error, match="no image"):
        made().draw()
    with pytest.raises(frcnn.Error, match=r"b\.png"):
        made(image=tmp_path / "b.png").draw()


def test_in_a_notebook() -> None:
    """The drawn image, not larger than a page; a table if there is no image."""
    large = made(image=np.zeros((3000, 1500, 3), np.uint8))
    content = large._repr_png_()
    assert content is not None
    assert PIL.Image.open(io.BytesIO(content)).size == (500, 1000)
    assert large._repr_html_() is None
    assert made()._repr_png_() is None
    table = made()._repr_html_()
    assert table is not None
    assert table.count("<tr>") == 4
    assert "&lt;dog&gt;</td><td>0.900</td><td>10.0" in table


def test_show_opens_a_window_or_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    found = made(image=np.zeros((60, 40, 3), np.uint8))
    monkeypatch.setattr(PIL.Image.Image, "show", lambda self: shown.append(self.size))
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    found.show()
    assert shown == [(40, 60)]
    notebook, display = ModuleType("IPython"), ModuleType("IPython.display")
    notebook.get_ipython = lambda: type("Shell", (), {"kernel": 1})()  # type: ignore[attr-defined]
    display.display = shown.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    found.show()
    assert shown[1] is found


def test_as_supervision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exclusive corners: supervision's area of a box is (x2 - x1) * (y2 - y1)."""

    @dataclass
    class Detections:
        xyxy: np.ndarray
        confidence: np.ndarray
        class_id: np.ndarray
        data: dict[str, np.ndarray]

    package = ModuleType("supervision")
    package.Detections = Detections  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "supervision", package)
    found: Any = made().to_supervision()
    assert found.xyxy.tolist() == [[10, 20, 30, 60], [0, 0, 10, 10], [5.5, 5, 7.25, 10]]
    assert found.xyxy.dtype == np.float32
    assert found.class_id.tolist() == [1, 0, 1]
    assert found.data["class_name"].tolist() == ["<dog>", "cat", "<dog>"]
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(frcnn.Error, match="pip install supervision"):
        made().to_supervision()
