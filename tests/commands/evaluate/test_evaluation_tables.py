"""The printed tables of an evaluation: numbers, counts, rules, and any class name."""

import io

from builders import make_dataset, make_detections
from rich.console import Console

from frcnn_cli.commands.evaluate.tables import print_evaluation
from frcnn_cli.commands.shared.console import Output
from frcnn_cli.engine.evaluation.scores import evaluate

BOX = (0, 0, 99, 99)


def printed(dataset, detections, with_corloc=False, coco=True):
    text = io.StringIO()
    console = Console(file=text, width=100)
    print_evaluation(Output(results=console), evaluate(dataset, detections, coco), with_corloc)
    return text.getvalue()


def row(text, first):
    """The cells of the first row that starts with `first`."""
    line = next(line for line in text.splitlines() if line.strip(" │").startswith(first))
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_averages_errors_counts_and_rules():
    classes = ["cat", "[red]"]
    dataset = make_dataset(classes, a=[("cat", BOX), ("cat", (200, 200, 299, 299))])
    found = make_detections(classes, a=[("cat", 0.9, BOX)], b=[("cat", 0.8, BOX)])
    text = printed(dataset, found)
    # One of two objects is detected: precision 1 up to recall 1/2, so 6 of 11 levels, 51 of 101.
    assert row(text, "cat") == ["cat", "2", "1", "54.5", "50.0", "50.5", "50.5", "50.5"]
    assert row(text, "[red]") == ["[red]", "0", "0", "-", "-", "-", "-", "-"]
    assert row(text, "mAP corrected")[-1] == "100.0"
    assert row(text, "gain")[-1] == "+50.0"
    assert "1 image, 2 objects" in text
    assert "1 on images outside the dataset, ignored" in " ".join(text.split())
    assert "IoU >= 0.5" in text


def test_class_without_objects():
    assert row(printed(make_dataset(["cat"], a=[]), {}), "mean")[3:] == ["-"] * 5


def test_corloc_only_if_requested():
    classes = ["cat", "dog"]
    dataset = make_dataset(classes, a=[("cat", BOX), ("dog", BOX)], b=[("cat", BOX)])
    found = make_detections(classes, a=[("cat", 0.9, BOX)], b=[("cat", 0.8, (200, 200, 299, 299))])
    text = printed(dataset, found, with_corloc=True)
    table = text[text.index("CorLoc") :]
    # Images, right, without box, CorLoc.
    assert row(table, "cat") == ["cat", "2", "1", "0", "50.0"]
    assert row(table, "dog") == ["dog", "1", "0", "1", "0.0"]
    assert row(table, "mean") == ["mean", "3", "1", "1", "25.0"]
    assert "CorLoc" not in printed(dataset, found)


def test_coco_metrics_can_be_skipped():
    dataset = make_dataset(["cat"], a=[("cat", BOX)])
    found = make_detections(["cat"], a=[("cat", 0.9, BOX)])
    text = printed(dataset, found, coco=False)
    assert row(text, "cat") == ["cat", "1", "1", "100.0", "100.0"]  # objects, detections, VOC
    assert "AP50" in printed(dataset, found)
    assert "AP50" not in text
    assert "AR 100" not in text
    assert evaluate(dataset, found, coco=False).to_json()["coco"] is None
