"""Images inside the page: their format, and how many fit."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from frcnn_cli.engine.pages.self_contained import SIDE, Thumbnails, breakable
from frcnn_cli.engine.records import ImageRecord


@pytest.fixture
def large_image(tmp_path: Path) -> ImageRecord:
    pixels = np.full((900, 1500, 3), (200, 40, 90), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "large.png")
    return ImageRecord("large", tmp_path / "large.png")


def test_a_thumbnail_is_a_small_jpeg_with_the_original_size(large_image: ImageRecord) -> None:
    thumbnail = Thumbnails().of(large_image)
    assert thumbnail is not None
    assert (thumbnail.width, thumbnail.height) == (1500, 900)
    head, _, text = thumbnail.uri.partition(",")
    assert head == "data:image/jpeg;base64"
    decoded = PIL.Image.open(io.BytesIO(base64.b64decode(text)))
    assert decoded.format == "JPEG"
    assert decoded.size == (SIDE, round(SIDE * 900 / 1500))
    assert np.asarray(decoded).mean(axis=(0, 1)) == pytest.approx((200, 40, 90), abs=3)


def test_the_budget_limits_the_thumbnails(large_image: ImageRecord) -> None:
    once = Thumbnails().of(large_image)
    assert once is not None
    thumbnails = Thumbnails(budget=3 * len(once.uri))
    assert thumbnails.of(large_image, copies=2) is not None
    assert thumbnails.of(large_image, copies=2) is None
    assert thumbnails.of(large_image) is not None
    assert thumbnails.omitted == 1


def test_an_unreadable_image_has_no_thumbnail(tmp_path: Path) -> None:
    thumbnails = Thumbnails()
    assert thumbnails.of(ImageRecord("gone", tmp_path / "gone.jpg")) is None
    assert "gone.jpg" in thumbnails.unreadable["gone"]
    assert thumbnails.omitted == 0


def test_names_break_after_separators_and_not_within_numbers() -> None:
    assert breakable("sampling.background_iou") == "sampling.<wbr>background_<wbr>iou"
    assert breakable("runs/a/model-x.pt") == "runs/<wbr>a/<wbr>model-<wbr>x.<wbr>pt"
    for name in ("0.0003 (adamw), times 0.1", "1024, 1024", "-", "a-1", "_x"):
        assert breakable(name) == name
    assert breakable("<i>.b") == "&lt;i&gt;.b"
