"""SVMs on fc7 instead of softmax, on separable data: red and blue squares on black."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from sklearn.svm import LinearSVC
from torch import nn

from frcnn_cli.engine.detection.dataset import detect_dataset
from frcnn_cli.engine.detection.image import score_boxes
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import batch_images, batch_rois, image_tensor
from frcnn_cli.engine.records import Dataset, GroundTruth, ImageRecord
from frcnn_cli.engine.settings import DetectSettings, SvmSettings, TrainSettings
from frcnn_cli.engine.settings.svm import SVM_OBJECTS
from frcnn_cli.engine.training.svm.fit import fit_svms, negatives_of
from frcnn_proposals.base import Proposals

CORNERS = [(x, y) for x in (0, 32, 64, 96) for y in (0, 32, 64)]
CELLS = np.array([(x, y, x + 31, y + 31) for x, y in CORNERS], np.float32)
SETTINGS = TrainSettings(
    classifier="svm", svm=SvmSettings(c=1.0, retrain_after=5, iterations=20_000)
)


@pytest.fixture
def squares(tmp_path: Path) -> Dataset:
    """Eight images, each with a red square (class 1) and a blue one (2) in cells of a grid."""
    generator = np.random.default_rng(0)
    images = []
    for number in range(8):
        pixels = np.zeros((96, 128, 3), np.uint8)
        cells = generator.choice(len(CELLS), 2, replace=False)
        for cell, channel in zip(cells, (0, 2), strict=True):
            x, y = CORNERS[cell]
            pixels[y : y + 32, x : x + 32, channel] = generator.integers(150, 256)
        path = tmp_path / f"{number}.png"
        PIL.Image.fromarray(pixels).save(path)
        truth = GroundTruth(CELLS[cells], np.array([1, 2]), np.zeros(2, bool))
        images.append(ImageRecord(str(number), path, 128, 96, truth))
    return Dataset("squares", "all", ("red", "blue"), tuple(images))


@pytest.fixture
def proposals(squares: Dataset) -> dict[str, Proposals]:
    return {record.image_id: Proposals(CELLS) for record in squares.images}


@pytest.fixture
def model(small_model: FastRCNN) -> FastRCNN:
    """Random layers on mean colours, which distinguish red, blue and black."""
    torch.manual_seed(0)
    small_model.features = nn.Sequential(nn.AvgPool2d(8, ceil_mode=True), nn.Conv2d(3, 128, 1))
    for layer in (small_model.features[1], small_model.fc6, small_model.fc7):
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    return small_model


def pixels(record: ImageRecord) -> np.ndarray:
    return np.asarray(PIL.Image.open(record.path))


@torch.inference_mode()
def fc7(model: FastRCNN, record: ImageRecord, boxes: np.ndarray) -> np.ndarray:
    """fc7 of boxes, (R, D)."""
    tensor, factor = image_tensor(pixels(record), model.architecture.preprocessing)
    features = model.eval().features(batch_images([tensor]))
    return model.fc7_of(model.pool(features, batch_rois([boxes], [factor]))).numpy()


def margins_of_objects(model: FastRCNN, record: ImageRecord) -> np.ndarray:
    """The margins of both squares, each of its own class, (2,)."""
    assert record.truth is not None
    scores, _ = score_boxes(model, pixels(record), Proposals(record.truth.boxes))
    return scores[:, 1:].diagonal().numpy()


def test_only_the_squares_are_found(
    model: FastRCNN, squares: Dataset, proposals: dict[str, Proposals]
) -> None:
    messages: list[str] = []
    fit_svms(model, squares, proposals, SETTINGS, messages.append)
    assert len(messages) == 16  # two passes over eight images
    assert model.architecture.classifier == "svm"
    found = detect_dataset(
        model, squares, proposals, DetectSettings(score_threshold=0.0, box_regression=False)
    ).found
    for record in squares.images:
        assert record.truth is not None
        order = np.argsort(found[record.image_id].labels)
        assert found[record.image_id].labels[order].tolist() == [1, 2]
        assert np.array_equal(found[record.image_id].boxes[order], record.truth.boxes)


def test_few_objects_reach_the_default_threshold(
    model: FastRCNN, squares: Dataset, proposals: dict[str, Proposals]
) -> None:
    """With 8 objects per class, R-CNN's constants leave most of them below it."""
    above = {}
    for objects in (0, SVM_OBJECTS):
        settings = TrainSettings(classifier="svm", svm=SvmSettings(objects=objects))
        fit_svms(model, squares, proposals, settings)
        margins = [margins_of_objects(model, record) for record in squares.images]
        above[objects] = (np.concatenate(margins) > 0).mean()
    assert above[0] < 0.5
    assert above[SVM_OBJECTS] == 1


@pytest.mark.parametrize("objects", [0, SVM_OBJECTS])
def test_it_agrees_with_liblinear_on_all_negatives(
    objects: int, model: FastRCNN, squares: Dataset, proposals: dict[str, Proposals]
) -> None:
    """Mining, the scale of the features and the score layer change nothing in the margins."""
    truths = [record.truth for record in squares.images if record.truth is not None]
    features = [fc7(model, record, CELLS) for record in squares.images]
    scale = 20 / np.linalg.norm(np.concatenate(features), axis=1).mean()
    settings = SvmSettings(c=0.01, objects=objects, iterations=20_000)
    fit_svms(model, squares, proposals, TrainSettings(classifier="svm", svm=settings))
    for label in (1, 2):
        positive = [(t.boxes[label - 1] == CELLS).all(axis=1) for t in truths]
        is_positive = np.concatenate(positive)
        weight = 2 * max(1, objects / is_positive.sum())
        svm = LinearSVC(C=0.01, loss="hinge", class_weight={1: weight}, intercept_scaling=10,
                        max_iter=100_000, tol=1e-6, random_state=0)  # fmt: skip
        everything = np.concatenate(features) * scale
        svm.fit(everything, np.where(is_positive, 1, -1))
        margins = [
            score_boxes(model, pixels(record), Proposals(CELLS))[0][:, label]
            for record in squares.images
        ]
        expected = svm.decision_function(everything)
        assert np.concatenate(margins) == pytest.approx(expected, abs=0.02)


def test_scores_are_margins(
    model: FastRCNN, squares: Dataset, proposals: dict[str, Proposals]
) -> None:
    fit_svms(model, squares, proposals, SETTINGS)
    image = np.asarray(PIL.Image.open(squares.images[0].path))
    scores, _ = score_boxes(model, image, Proposals(CELLS))
    assert (scores[:, 0] == 0).all()
    assert scores.min() < -0.5  # not a probability


def test_the_scale_of_fc7_does_not_matter(
    model: FastRCNN, squares: Dataset, proposals: dict[str, Proposals]
) -> None:
    """Features are scaled to a mean norm of 20, so that one C works for all networks."""
    image = np.asarray(PIL.Image.open(squares.images[0].path))
    margins = []
    for _ in range(2):
        fit_svms(model, squares, proposals, SETTINGS)
        margins.append(score_boxes(model, image, Proposals(CELLS))[0])
        with torch.no_grad():
            model.fc7.weight *= 100
            model.fc7.bias *= 100
    assert torch.allclose(*margins, atol=0.05)


def test_fitting_is_reproducible_to_the_bit(
    model: FastRCNN, squares: Dataset, proposals: dict[str, Proposals]
) -> None:
    weights = []
    for _ in range(2):
        fit_svms(model, squares, proposals, SETTINGS)
        weights.append(model.score.weight.detach().clone())
    assert torch.equal(*weights)


def test_an_unreadable_image_is_skipped(
    model: FastRCNN, squares: Dataset, proposals: dict[str, Proposals], tmp_path: Path
) -> None:
    gone = replace(squares.images[0], path=tmp_path / "gone.png")
    dataset = replace(squares, images=(gone, *squares.images[1:]))
    fit_svms(model, dataset, proposals, SETTINGS)
    assert model.architecture.classifier == "svm"


def test_negatives_by_hand() -> None:
    # Boxes of 10 x 10 moved by 0, 5, 6 and 20 have an IoU of 1, 1/3, 1/4 and 0 with the first.
    boxes = np.array([[x, 0, x + 9, 9] for x in (0, 5, 6, 20)], np.float32)
    truth = GroundTruth(boxes[:1], np.array([2]), np.array([True]))  # difficult objects count too
    assert negatives_of(boxes, truth, 3, threshold=0.3).tolist() == [
        [True, False, True],
        [True, False, True],
        [True, True, True],
        [True, True, True],
    ]
