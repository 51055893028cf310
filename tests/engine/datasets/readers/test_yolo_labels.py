"""The forms of a line in a YOLO label file: boxes, polygons, keypoints, and scores."""

import numpy as np
import pytest
from builders import make_detections
from PIL import Image
from reporters import RecordingReporter

from frcnn_cli.engine.datasets.export.dataset import export_dataset
from frcnn_cli.engine.datasets.layout import Fault, raise_on_fault
from frcnn_cli.engine.datasets.open import open_dataset
from frcnn_cli.engine.datasets.text_files import read_labels
from frcnn_cli.engine.records import Dataset, ImageRecord
from frcnn_proposals.errors import InputError

BOX = "0 0.5 0.5 0.2 0.2"
INSIDE = [[80, 80, 119, 119]]  # of a 200 x 200 image
POINTS = " 0.45 0.45 0.55 0.45 0.45 0.55 0.55 0.55"


def with_visibility(*values):
    places = ("0.45 0.45", "0.55 0.45", "0.45 0.55", "0.55 0.55", "0.5 0.5")
    return "".join(f" {xy} {v}" for xy, v in zip(places, values, strict=False))


def read(tmp_path, line, keypoints=None, report=raise_on_fault):
    path = tmp_path / "a.txt"
    path.write_text(f"{line}\n")
    return read_labels(path, 1, (200, 200), report, keypoints).boxes.round(3).tolist()


@pytest.mark.parametrize(
    ("line", "keypoints"),
    [
        (BOX, None),
        (BOX + POINTS + POINTS, 16),
        (BOX + POINTS, 8),
        (BOX + with_visibility(2, 2, 2, 2), 12),
        (BOX + " 0 0 0" * 4, 12),
        (BOX, 12),
        # Only the numbers tell: 2 is no fraction, and an even number of fields is no polygon.
        (BOX + with_visibility(2, 1, 0, 2), None),
        (BOX + with_visibility(1, 1, 0, 1, 1), None),
        (BOX + with_visibility(0), None),
    ],
)
def test_the_box_of_an_object_with_keypoints(tmp_path, line, keypoints):
    assert read(tmp_path, line, keypoints) == INSIDE


@pytest.mark.parametrize(
    ("line", "keypoints"),
    [
        (f"{BOX} 0.575787", None),
        (BOX + POINTS + " 0.5", 8),
        ("0 0.4 0.4 0.6 0.4 0.6 0.6 0.4 0.6 0.575787", None),
    ],
)
def test_a_score_is_ignored_and_reported_once_per_file(tmp_path, line, keypoints):
    faults: list[Fault] = []
    boxes = read(tmp_path, f"{line}\n{line}", keypoints, faults.append)
    assert boxes == INSIDE * 2
    assert [(fault.message, fault.tolerated) for fault in faults] == [
        ("the score at the end of 2 lines is ignored", True)
    ]


@pytest.mark.parametrize(
    ("line", "keypoints", "words"),
    [
        (f"{BOX} 7", None, "7, the last number, is not a score"),
        (BOX + POINTS, 12, "expected `class x y width height`"),
        (f"{BOX} nan", None, "expected `class x y width height`"),
        ("0 0.1 0.1 0.1", None, "expected `class x y width height`"),
        ("0", None, "expected `class x y width height`"),
    ],
)
def test_other_lines_are_errors(tmp_path, line, keypoints, words):
    with pytest.raises(InputError) as error:
        read(tmp_path, line, keypoints)
    assert words in str(error.value)


def test_polygons_keep_their_bounding_box(tmp_path):
    assert read(tmp_path, "0 0.4 0.4 0.6 0.4 0.5 0.6") == INSIDE
    # A closed polygon on the border of the image: its third numbers are 0 and 1 by chance.
    assert read(tmp_path, "0 0 0 1 0 1 1 0 1 0 0") == [[0, 0, 199, 199]]


def test_exported_detections_are_read_back(tmp_path):
    pytest.importorskip("yaml")
    image = tmp_path / "a.png"
    Image.new("RGB", (100, 80)).save(image)
    dataset = Dataset("made", "test", ("cat", "dog"), (ImageRecord("a", image, 100, 80),))
    found = make_detections(["cat", "dog"], a=[("dog", 0.75, (10, 20, 59, 69))])
    export_dataset(dataset, tmp_path / "out", "yolo", found, copy_images=True)
    reporter = RecordingReporter()
    (back,) = open_dataset(str(tmp_path / "out"), "test", reporter=reporter).images
    assert np.allclose(back.truth.boxes, [[10, 20, 59, 69]], atol=1e-3)
    assert back.truth.labels.tolist() == [2]
    (warning,) = reporter.warnings
    assert warning.endswith("a.txt: the score at the end of 1 line is ignored.")
