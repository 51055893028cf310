"""Models imported from Caffe, compared with Caffe's layers in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from caffe_files import (
    POOLED,
    Arrays,
    caffenet_arrays,
    detector_arrays,
    layer,
    new_file,
    old_file,
    write,
)
from literal_caffe import convolution, max_pool, normalise_across_channels, relu
from numpy.typing import NDArray

from frcnn_cli.engine.datasets.readers.voc import VOC_CLASSES
from frcnn_cli.engine.detection.image import score_boxes
from frcnn_cli.engine.exchange.caffe_import import import_caffe_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_kernels.reference import roi_pool_reference
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError

BOXES = np.array([[3, 4, 40, 50], [10, 0, 63, 30], [0, 0, 79, 63], [20, 33, 45, 60]], np.float32)
IMAGE = np.random.default_rng(5).integers(0, 256, (64, 80, 3)).astype(np.uint8)
FORMATS = pytest.mark.parametrize("file_of", [new_file, old_file], ids=["new", "V1"])


def imported(tmp_path: Path, content: bytes, *classes: str) -> FastRCNN:
    """The imported detector, at a scale at which the image is not resized."""
    path = write(tmp_path / "net.caffemodel", content)
    model = import_caffe_model(path, "caffenet", classes or ("cat", "dog")).model
    assert model is not None
    pixels = replace(model.architecture.preprocessing, scale=64, max_size=100)
    model.architecture = replace(model.architecture, preprocessing=pixels)
    return model


def by_hand(arrays: Arrays) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities (R, K + 1) and boxes (R, K + 1, 4), computed as in the first implementation."""
    x = IMAGE[..., ::-1].astype(np.float64) - [102.9801, 115.9465, 122.7717]
    x = relu(convolution(x.transpose(2, 0, 1), *arrays["conv1"], stride=4, padding=5))
    x = normalise_across_channels(max_pool(x, 3, padding=1), 5, 0.0001, 0.75, 1)
    x = relu(convolution(x, *arrays["conv2"], padding=2, groups=2))
    x = normalise_across_channels(max_pool(x, 3, padding=1), 5, 0.0001, 0.75, 1)
    x = relu(convolution(x, *arrays["conv3"], padding=1))
    x = relu(convolution(x, *arrays["conv4"], padding=1, groups=2))
    x = relu(convolution(x, *arrays["conv5"], padding=1, groups=2))
    rois = torch.from_numpy(np.concatenate([np.zeros((len(BOXES), 1), np.float32), BOXES], axis=1))
    pooled = roi_pool_reference(torch.from_numpy(x)[None], rois, (6, 6), 1 / 16)[0].flatten(1)
    h = pooled.numpy()
    for name in ("fc6", "fc7"):
        if f"{name}_L" in arrays:
            h = h @ arrays[f"{name}_L"][0].T
            h = relu(h @ arrays[f"{name}_U"][0].T + arrays[f"{name}_U"][1])
        else:
            h = relu(h @ arrays[name][0].T + arrays[name][1])
    logits = h @ arrays["cls_score"][0].T + arrays["cls_score"][1]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    offsets = h @ arrays["bbox_pred"][0].T + arrays["bbox_pred"][1]
    dx, dy, dw, dh = np.moveaxis(offsets.reshape(len(h), -1, 4), 2, 0)
    x1, y1, x2, y2 = BOXES.T[:, :, None]
    width, height = x2 - x1, y2 - y1  # without the + 1
    x, y = x1 + 0.5 * width + dx * width, y1 + 0.5 * height + dy * height
    half = 0.5 * np.exp(dw) * width, 0.5 * np.exp(dh) * height
    boxes = np.stack((x - half[0], y - half[1], x + half[0], y + half[1]), axis=-1)
    limits = np.array([79, 63, 79, 63])
    return exponentials / exponentials.sum(axis=1, keepdims=True), np.clip(boxes, 0, limits)


@FORMATS
def test_a_detector_computes_the_same_as_in_caffe(
    tmp_path: Path, file_of: Callable[[Arrays], bytes]
) -> None:
    arrays = detector_arrays()
    model = imported(tmp_path, file_of(arrays))
    scores, boxes = score_boxes(model, IMAGE, Proposals(BOXES))
    expected_scores, expected_boxes = by_hand(arrays)
    assert expected_scores.std() > 0.1
    np.testing.assert_allclose(scores.numpy(), expected_scores, atol=1e-4)
    np.testing.assert_allclose(boxes.numpy(), expected_boxes[:, 1:], rtol=1e-3, atol=1e-2)
    assert (
        np.abs(expected_boxes[:, 0] - expected_boxes[:, 1]).max() > 1
    )  # the background's boxes differ


@FORMATS
def test_a_compressed_detector_computes_the_same_as_in_caffe(
    tmp_path: Path, file_of: Callable[[Arrays], bytes]
) -> None:
    arrays = detector_arrays()
    for name, (outputs, inputs, rank) in {"fc6": (8, POOLED, 5), "fc7": (6, 8, 3)}.items():
        del arrays[name]
        arrays[f"{name}_L"] = layer(20, (rank, inputs), bias=False)
        arrays[f"{name}_U"] = layer(21, (outputs, rank))
    model = imported(tmp_path, file_of(arrays))
    assert model.architecture.ranks == {"fc6": 5, "fc7": 3}
    scores, boxes = score_boxes(model, IMAGE, Proposals(BOXES))
    expected_scores, expected_boxes = by_hand(arrays)
    np.testing.assert_allclose(scores.numpy(), expected_scores, atol=1e-4)
    np.testing.assert_allclose(boxes.numpy(), expected_boxes[:, 1:], rtol=1e-3, atol=1e-2)


def test_settings_of_an_imported_model(tmp_path: Path) -> None:
    model = imported(tmp_path, new_file(detector_arrays()))
    architecture = model.architecture
    assert architecture.box_coding == "caffe"
    assert architecture.hidden == (8, 6)
    assert architecture.preprocessing.channels == "bgr"
    assert architecture.preprocessing.resize == "float32"
    assert architecture.preprocessing.mean == (102.9801, 115.9465, 122.7717)
    assert (model.offset_means == 0).all()
    assert (model.offset_deviations == 1).all()
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"features.conv1.weight", "features.conv1.bias"}


def test_the_default_class_names_are_those_of_voc(tmp_path: Path) -> None:
    path = write(tmp_path / "voc.caffemodel", new_file(detector_arrays(classes=20)))
    model = import_caffe_model(path, "caffenet").model
    assert model is not None
    assert model.architecture.classes == VOC_CLASSES


def test_all_other_classes_must_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "two.caffemodel", new_file(detector_arrays()))
    with pytest.raises(MisuseError, match=r"2 object classes.*\n.*--classes"):
        import_caffe_model(path, "caffenet")
    with pytest.raises(MisuseError, match="--classes names 3"):
        import_caffe_model(path, "caffenet", ("a", "b", "c"))


def test_without_bbox_pred_boxes_are_the_proposals(tmp_path: Path) -> None:
    arrays = detector_arrays()
    del arrays["bbox_pred"]
    model = imported(tmp_path, new_file(arrays))
    assert not model.architecture.box_regression
    _, boxes = score_boxes(model, IMAGE, Proposals(BOXES))
    assert torch.equal(boxes[:, 0], torch.from_numpy(BOXES))


def test_layers_of_vgg_cnn_m_and_vgg16(tmp_path: Path) -> None:
    """Names and shapes of the other two networks, in ImageNet files without fc6."""
    vgg_m = {
        "conv1": layer(0, (96, 3, 7, 7)),
        "conv2": layer(1, (256, 96, 5, 5)),
        "conv3": layer(2, (512, 256, 3, 3)),
        "conv4": layer(3, (512, 512, 3, 3)),
        "conv5": layer(4, (512, 512, 3, 3)),
    }
    vgg16, inputs = {}, 3
    for block, (outputs, count) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], 1):
        for index in range(1, count + 1):
            vgg16[f"conv{block}_{index}"] = layer(block, (outputs, inputs, 3, 3))
            inputs = outputs
    for network, arrays in (("vgg_cnn_m_1024", vgg_m), ("vgg16", vgg16)):
        path = write(tmp_path / f"{network}.caffemodel", old_file(arrays))
        weights = import_caffe_model(path, network).weights
        assert weights.keys() == {f"{n}.{p}" for n in arrays for p in ("weight", "bias")}
        for name, (weight, bias) in arrays.items():
            assert np.array_equal(weights[f"{name}.weight"].numpy(), weight)
            assert np.array_equal(weights[f"{name}.bias"].numpy(), bias)


def test_the_classifier_of_an_imagenet_network_is_skipped(tmp_path: Path) -> None:
    arrays = caffenet_arrays() | {"fc8": layer(3, (10, 5)), "fc8_more": layer(3, (10, 5))}
    found = import_caffe_model(write(tmp_path / "a.caffemodel", new_file(arrays)), "caffenet")
    assert found.model is None
    assert found.ignored == ("fc8", "fc8_more")
    assert not [name for name in found.weights if name.startswith("fc")]


def test_double_precision_is_read(tmp_path: Path) -> None:
    arrays = caffenet_arrays()
    doubles = {name: [blob.astype(np.float64) for blob in blobs] for name, blobs in arrays.items()}
    found = import_caffe_model(write(tmp_path / "a.caffemodel", new_file(doubles)), "caffenet")
    assert np.array_equal(found.weights["conv3.weight"].numpy(), arrays["conv3"][0])
