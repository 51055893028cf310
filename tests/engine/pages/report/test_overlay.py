"""Boxes drawn over an image."""

from __future__ import annotations

from pathlib import Path

from made_up_report import made_up_dataset, made_up_report

from frcnn_cli.engine.pages.report.overlay import described, detection_boxes, truth_boxes


def test_an_objects_box_covers_its_pixels(tmp_path: Path) -> None:
    report = made_up_report(made_up_dataset(tmp_path), 1)
    truth = report.dataset.images[5].truth
    assert truth is not None
    boxes = truth_boxes(report, 5)
    assert len(boxes) == len(truth)
    # Inclusive corners: a box from 10 to 19 is 10 wide.
    x1, y1, x2, y2 = truth.boxes[0]
    assert (boxes[0].x, boxes[0].y) == (x1, y1)
    assert (boxes[0].width, boxes[0].height) == (x2 - x1 + 1, y2 - y1 + 1)


def test_the_chosen_detection_is_drawn_at_any_score(tmp_path: Path) -> None:
    report = made_up_report(made_up_dataset(tmp_path), 1)
    subject = report.subjects[0]
    row = len(subject.found) - 1
    image = int(subject.found.image[row])
    boxes = detection_boxes(report, subject, image, (row,), 0.99)
    assert [box.chosen for box in boxes][-1]
    assert f"{subject.found.score[row]:.2f}" in boxes[-1].text
    assert boxes[-1].text in described(boxes)
