"""Selective search of 12 megapixels takes about the time and memory of a usual image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frcnn_cli.engine.benchmarks.photo import PhotoSearch, benchmark_photo, mosaic


@pytest.mark.parametrize("mode", ["fast", "quality"])
def test_a_photo_takes_at_most_three_times_as_long(shared_data: Path, mode: str) -> None:
    found = benchmark_photo("voc2007", "val", shared_data / "voc2007-subset", modes=[mode])
    assert [(each.mode, each.images) for each in found] == [(mode, 5)]
    assert 1 < found[0].ratio <= 3
    # The pixels alone are 36 MB, and 0.6 MB for an image of the dataset.
    assert 35_000_000 < found[0].extra_bytes <= 400_000_000


def test_the_mosaic_is_filled_with_the_images() -> None:
    dark, bright = (np.full((*size, 3), value, np.uint8)
                    for size, value in (((2, 3), 50), ((1, 2), 90)))  # fmt: skip
    found = mosaic([dark, bright], 6, 3)
    assert found[:, :, 0].tolist() == [
        [50, 50, 50, 90, 90, 50],
        [50, 50, 50, 0, 0, 50],
        [90, 90, 50, 50, 50, 90],
    ]


def test_ratio_and_extra_memory() -> None:
    found = PhotoSearch("fast", 5, 0.04, 0.1, 7_000_000, 90_000_000)
    assert found.to_json()["ratio"] == pytest.approx(2.5)
    assert found.to_json()["extra_bytes"] == 83_000_000
