"""`frcnn.Detector`: forms of images and proposals, settings, threads and processes."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
import torch

import frcnn

IMAGE = Path("shapes/JPEGImages/000003.jpg")


@pytest.fixture
def detector(at_home: Path) -> frcnn.Detector:
    return frcnn.Detector.load("runs/small")


def pixels() -> np.ndarray:
    """An array that cannot be written, as Pillow hands it out."""
    return np.asarray(PIL.Image.open(IMAGE).convert("RGB"))


@pytest.mark.filterwarnings("error")
def test_an_image_in_every_form(detector: frcnn.Detector) -> None:
    expected = detector.detect(IMAGE)
    assert len(expected) == 30  # as the model was set
    forms = [str(IMAGE), IMAGE.resolve(), pixels(), PIL.Image.open(IMAGE), cv2.imread(str(IMAGE))]
    forms[-1] = forms[-1][..., ::-1]  # a view with negative strides
    for found in (*(detector.detect(form) for form in forms), *detector.detect(iter(forms))):
        assert found == expected
        assert found.boxes.dtype == found.scores.dtype == np.float32
        assert found.size == (128, 96)


def test_grey_images(detector: frcnn.Detector) -> None:
    grey = PIL.Image.open(IMAGE).convert("L")
    expected = detector.detect(grey.convert("RGB"))
    for form in (grey, np.asarray(grey), np.asarray(grey)[..., None]):
        assert detector.detect(form) == expected
    assert expected != detector.detect(IMAGE)


def test_the_given_image_is_not_changed(detector: frcnn.Detector) -> None:
    image = pixels().copy()
    detector.detect(image).draw()
    assert np.array_equal(image, pixels())


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((9, 9, 3)), "float64 with shape"),
        (np.zeros((2, 9, 9, 3), np.uint8), "as a list"),
        (np.zeros((9, 9, 4), np.uint8), r"\(9, 9, 4\)"),
        (np.zeros((0, 9, 3), np.uint8), r"\(0, 9, 3\)"),
        (7, "not int"),
        ("shapes", "is a folder"),
        ("nowhere.jpg", r"nowhere\.jpg"),
        (b"bytes", "not bytes"),
    ],
)
def test_invalid_images(image: Any, message: str, detector: frcnn.Detector) -> None:
    for given in (image, [IMAGE, image]):
        with pytest.raises(frcnn.Error, match=message):
            detector.detect(given)


def test_proposals_in_every_form(detector: frcnn.Detector) -> None:
    stored = frcnn.read_proposals("shapes.proposals")
    boxes = stored["000003"].boxes[:40]
    expected = detector.detect(IMAGE, frcnn.Proposals(boxes))
    assert detector.detect(IMAGE, boxes.astype(np.float64)) == expected
    assert detector.detect(IMAGE, boxes.tolist()) == expected
    assert detector.detect([IMAGE, pixels()], [boxes, boxes]) == [expected, expected]
    assert detector.detect(IMAGE, stored) == detector.detect(IMAGE, stored["000003"]) != expected
    from_file = frcnn.Detector.load("runs/small", proposals="shapes.proposals")
    assert from_file.detect([IMAGE]) == [detector.detect(IMAGE, stored)]
    assert len(detector.detect(IMAGE, np.zeros((0, 4)))) == 0


@pytest.mark.parametrize(
    ("image", "proposals", "message"),
    [
        (IMAGE, np.zeros((3, 5)), r"shape \(3, 5\)"),
        (IMAGE, [[0, 0, 128, 95]], "outside"),
        (IMAGE, [[9, 9, 3, 20]], "box 0"),
        (IMAGE, "text", "cannot be used"),
        (IMAGE, {}, "no boxes for image id '000003'"),
        (np.zeros((9, 9), np.uint8), {}, "without a file name"),
        ([IMAGE, IMAGE], [np.zeros((1, 4))], "2 images need as many proposals"),
    ],
)
def test_invalid_proposals(
    image: Any, proposals: Any, message: str, detector: frcnn.Detector
) -> None:
    with pytest.raises(frcnn.Error, match=message):
        detector.detect(image, proposals)


def test_an_array_has_no_proposals_in_a_file(at_home: Path) -> None:
    detector = frcnn.Detector.load("runs/small", proposals="shapes.proposals")
    with pytest.raises(frcnn.Error, match="give the path of the image, or proposals"):
        detector.detect(pixels())


def test_other_settings_share_the_weights(detector: frcnn.Detector) -> None:
    other = detector.with_settings(score_threshold=0.0, top_k=5, scales=[48, 64])
    loaded = frcnn.Detector.load("runs/small", score_threshold=0.0, top_k=5, scales=[48, 64])
    assert other == loaded != detector
    assert other.detect(IMAGE) == loaded.detect(IMAGE)
    assert len(other.detect(IMAGE)) == 5
    weights = [each._network.get().prepared for each in (detector, other, loaded)]
    assert weights[0] is weights[1] is not weights[2]
    for settings, message in (
        ({"score_threshold": 2}, "score threshold is 2"),
        ({"top_k": 0}, "op_k"),
        ({"threshold": 0.1}, "Unknown setting 'threshold'"),
        ({"precision": "float32"}, "Unknown setting 'precision'"),
    ):
        with pytest.raises(frcnn.MisuseError, match=message):
            detector.with_settings(**settings)


def test_the_newest_run(at_home: Path) -> None:
    model = Path("runs/small/model.safetensors").resolve()
    assert frcnn.Detector.load().path == frcnn.Detector.load(str(model)).path == model


def test_threads_share_a_detector(at_home: Path) -> None:
    """Four threads, the first of which loads the weights."""
    loaded = frcnn.Detector.load("runs/small")
    paths = sorted(IMAGE.parent.iterdir())
    expected = [loaded.detect(path) for path in paths] * 3
    detector = pickle.loads(pickle.dumps(loaded))
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(detector.detect, paths * 3)) == expected


def test_it_travels_as_a_path_and_settings(
    detector: frcnn.Detector, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = detector.with_settings(top_k=7)
    sent = pickle.dumps(other)
    assert len(sent) < 2000
    assert pickle.loads(sent) == other
    image = IMAGE.resolve()
    expected = other.detect(image)
    monkeypatch.chdir(tmp_path)  # A relative path would not be found from here.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(other.detect, (image,)) == expected


def test_files_that_fail_do_not_stop_the_others(detector: frcnn.Detector, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    (tmp_path / "b.jpg").write_bytes(IMAGE.read_bytes())
    found = detector.detect_files([tmp_path / "a.jpg", str(tmp_path / "b.jpg")])
    assert list(found.detections) == ["b"]
    assert len(found.failures) == 1
    assert "a.jpg: " in found.failures[0]
    assert found.detections["b"].draw().size == (128, 96)


def test_viz_does_not_overwrite_inputs(detector: frcnn.Detector, tmp_path: Path) -> None:
    image = tmp_path / "b.jpg"
    image.write_bytes(IMAGE.read_bytes())
    with pytest.raises(frcnn.Error, match=r"b\.jpg"):
        detector.detect_files(image, viz=tmp_path)
    assert image.read_bytes() == IMAGE.read_bytes()


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"csv": "in/b.jpg"}, "also an input file"),
        ({"json": "in/b.jpg"}, "also an input file"),
        ({"json": "same", "csv": "same"}, "two outputs"),
        ({"save_crops": "in"}, "is in the folder of the crops"),
    ],
)
def test_no_output_replaces_an_input(
    outputs: dict[str, str], message: str, detector: frcnn.Detector, tmp_path: Path
) -> None:
    image = tmp_path / "in" / "b.jpg"
    image.parent.mkdir()
    image.write_bytes(IMAGE.read_bytes())
    with pytest.raises(frcnn.MisuseError, match=message):
        detector.detect_files(image, **{name: tmp_path / file for name, file in outputs.items()})
    assert list(tmp_path.rglob("*.*")) == [image]
    assert image.read_bytes() == IMAGE.read_bytes()


def test_no_evaluation_replaces_a_model_or_proposals(at_home: Path) -> None:
    for file in ("runs/small/model.safetensors", "shapes.proposals"):
        before = (at_home / file).read_bytes()
        with pytest.raises(frcnn.MisuseError, match=r"input file|belongs to a run"):
            frcnn.evaluate("runs/small", proposals="shapes.proposals", save_detections=file)
        with pytest.raises(frcnn.MisuseError, match=r"input file|belongs to a run"):
            frcnn.compress("runs/small", proposals="shapes.proposals", svd_rank=4, out=file)
        assert (at_home / file).read_bytes() == before


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("top_k", "3", "an integer or None, not '3'"),
        ("top_k", 2.5, "an integer or None"),
        ("score_threshold", "a", "a number or None"),
        ("box_regression", "no", "True or False"),
        ("precision", "half", "one of auto, float32, bfloat16"),
        ("scales", 480, "a list or None, not 480"),
        ("scales", "480,600", "a list or None"),
        ("classes", 3, "a string or a list or None, not 3"),
        ("source", np.zeros((3, 3)), "a string or None, not a value of type ndarray"),
    ],
)
def test_arguments_of_another_type(name: str, value: Any, expected: str, at_home: Path) -> None:
    with pytest.raises(frcnn.MisuseError, match=f"{name} must be {expected}"):
        frcnn.Detector.load("runs/small", **{name: value})


def test_numbers_of_numpy_and_classes_as_on_the_command_line(detector: frcnn.Detector) -> None:
    names = detector.class_names[:2]
    expected = detector.with_settings(top_k=4, classes=names)
    assert detector.with_settings(top_k=np.int64(4), classes=", ".join(names)) == expected
    with pytest.raises(frcnn.MisuseError, match="top_k must be"):
        detector.with_settings(top_k="x")


def test_mistakes_that_have_a_message(detector: frcnn.Detector) -> None:
    grey = PIL.Image.fromarray(np.zeros((9, 9), np.float32))
    with open(IMAGE, "rb") as closed:
        pass
    for call, message in (
        (lambda: detector.detect(grey), "no known range"),
        (lambda: detector.detect({"a": IMAGE}), "not a mapping"),
        (lambda: detector.detect(IMAGE, "shapes.proposals"), "read_proposals"),
        (lambda: frcnn.propose("shapes", workers=-1), "at least 0"),
        (lambda: frcnn.propose(3), "images must be a string or a path or a list, not 3"),
        (lambda: frcnn.propose({"a": IMAGE}), "images must be a string or a path or a list"),
        (lambda: frcnn.propose({"a.png"}), "images must be a string or a path or a list"),
        (lambda: frcnn.propose(iter(["a.png"])), "images must be a string or a path or a list"),
        (lambda: frcnn.propose(np.array(["absent"])), "^absent"),
        (lambda: detector.detect(IMAGE, progress="print"), "progress must be a function or None"),
        (lambda: detector.detect(""), "path of the image is empty"),
        (lambda: frcnn.Detector.load(""), "model is empty"),
        (lambda: detector.detect(torch.zeros(9, 9, 3)), "not Tensor"),
        (lambda: detector.detect(closed), "not BufferedReader"),
    ):
        with pytest.raises(frcnn.MisuseError, match=message):
            call()


def test_a_large_jpeg_is_decoded_smaller_and_drawn_whole(at_home: Path, tmp_path: Path) -> None:
    """Every way to detect in it returns the same boxes, in its own pixels."""
    small = PIL.Image.open(IMAGE)
    path = tmp_path / "large.jpg"
    small.resize((small.width * 6, small.height * 6)).save(path, quality=95)
    settings = {"source": "selective-search", "parameters": {"working_pixels": 3000}}
    detector = frcnn.Detector.load("runs/small", score_threshold=0.0, **settings)
    whole = detector.detect(np.asarray(PIL.Image.open(path)))
    found = detector.detect(path)
    assert found.size == (small.width * 6, small.height * 6)
    assert found.boxes[:, 2].max() > small.width * 3
    assert not np.array_equal(found.boxes, whole.boxes)  # of other pixels
    files = detector.detect_files(path, viz=tmp_path / "viz", json=tmp_path / "found.json")
    for other in (detector.detect([path])[0], files.detections["large"]):
        np.testing.assert_array_equal(other.boxes, found.boxes)
        np.testing.assert_array_equal(other.scores, found.scores)
    [drawn] = (tmp_path / "viz").iterdir()
    assert PIL.Image.open(drawn).size == found.size
