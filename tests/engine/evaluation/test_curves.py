"""Precision-recall curves agree with the average precision."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up_report import made_up_dataset, made_up_detections

from frcnn_cli.engine.evaluation.average_precision import ap_area
from frcnn_cli.engine.evaluation.tables import detection_table, truth_table
from frcnn_cli.engine.evaluation.voc import evaluate_voc, precision_recall_curves


def test_area_under_each_curve_is_the_average_precision(tmp_path: Path) -> None:
    dataset = made_up_dataset(tmp_path)
    detections = made_up_detections(dataset, 3)
    curves = precision_recall_curves(
        dataset.classes, truth_table(dataset), detection_table(dataset, detections)
    )
    expected = {result.name: result for result in evaluate_voc(dataset, detections).per_class}
    assert len(curves) == len(dataset.classes)
    for curve in curves:
        assert ap_area(curve.precision, curve.recall) == pytest.approx(expected[curve.name].ap_area)
        assert curve.recall[-1] == expected[curve.name].right / expected[curve.name].objects
        assert (curve.score[1:] <= curve.score[:-1]).all()
