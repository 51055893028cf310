"""Margins of a difference: each resample equals an evaluation of the drawn images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_report import made_up_dataset, made_up_detections

from frcnn_cli.engine.evaluation.bootstrap import difference_margins, resampled_averages
from frcnn_cli.engine.evaluation.tables import detection_table, truth_table
from frcnn_cli.engine.evaluation.voc import evaluate_voc
from frcnn_cli.engine.records import Dataset, Detections


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return made_up_dataset(tmp_path, images=20, classes=("cat", "dog", "cow"))


def test_a_resample_is_the_evaluation_of_its_images(dataset: Dataset) -> None:
    """Images drawn twice are two images of the same content."""
    detections = made_up_detections(dataset, seed=3)
    drawn = np.random.default_rng(0).multinomial(20, np.full(20, 0.05), size=5)
    averages = resampled_averages(
        3, truth_table(dataset), detection_table(dataset, detections), drawn
    )
    for row, counts in enumerate(drawn):
        copies = [
            (replace(record, image_id=f"{record.image_id}-{copy}"), detections[record.image_id])
            for record, count in zip(dataset.images, counts, strict=True)
            for copy in range(count)
        ]
        images = tuple(record for record, _ in copies)
        found: dict[str, Detections] = {record.image_id: own for record, own in copies}
        result = evaluate_voc(replace(dataset, images=images), found)
        for index, item in enumerate(result.per_class):
            expected = [item.ap_11point, item.ap_area]
            got = averages[row, index].tolist()
            assert got == pytest.approx([np.nan if e is None else e for e in expected], nan_ok=True)


def test_the_margin_contains_the_difference_and_shrinks_with_more_images(tmp_path: Path) -> None:
    widths = []
    for images in (20, 320):
        dataset = made_up_dataset(tmp_path, images=images, classes=("cat", "dog"))
        one, other = (made_up_detections(dataset, seed) for seed in (0, 1))
        margins = difference_margins(
            2,
            images,
            truth_table(dataset),
            detection_table(dataset, one),
            detection_table(dataset, other),
        )
        first, second = (evaluate_voc(dataset, found).map_area for found in (one, other))
        assert margins.map_area is not None
        assert first is not None
        assert second is not None
        low, high = margins.map_area
        assert low < second - first < high
        widths.append(high - low)
    # 16 times as many images: a quarter of the width.
    assert 0.15 < widths[1] / widths[0] < 0.4


def test_a_detector_does_not_differ_from_itself(dataset: Dataset) -> None:
    truth = truth_table(dataset)
    table = detection_table(dataset, made_up_detections(dataset, 0))
    margins = difference_margins(3, 20, truth, table, table)
    assert margins.map_11point == margins.map_area == (0.0, 0.0)


def test_a_class_without_objects_has_no_margin(dataset: Dataset) -> None:
    truth = truth_table(dataset)
    table = detection_table(dataset, {})
    margins = difference_margins(4, 20, truth, table, table)
    assert margins.per_class[3] is None
    assert margins.per_class[0] == (0.0, 0.0)
