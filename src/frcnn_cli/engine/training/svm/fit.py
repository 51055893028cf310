"""Per-class SVMs on fc7 in place of the softmax layer (paper, section 5.4).

They are fitted after the network is trained, with R-CNN's algorithm and constants. Positives are
the ground-truth boxes; negatives are proposals with an IoU below negative_iou with every object
of the class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from frcnn_cli.engine.boxes import best_overlaps
from frcnn_cli.engine.distributed.streams import to_device
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import batch_images, batch_rois, image_tensor
from frcnn_cli.engine.records import Dataset, GroundTruth
from frcnn_cli.engine.seeds import generator_for
from frcnn_cli.engine.settings import TrainSettings
from frcnn_cli.engine.training.svm.linear_svm import HardNegatives, LinearSvm
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import read_image

_ROIS_AT_ONCE = 2000
# The mean norm of features is measured on up to this many images and proposals per image.
_NORM_IMAGES, _NORM_PROPOSALS = 200, 200


def fit_svms(
    model: FastRCNN,
    dataset: Dataset,
    proposals: Mapping[str, Proposals],
    settings: TrainSettings,
    on_image: Callable[[str], None] = lambda message: None,
) -> None:
    """Fit one SVM per class on the images, and replace the model's softmax with them.

    The score layer then outputs margins, 0 for the background. on_image: called with a progress
    message after each image of each of the (1 + settings.svm.passes) passes. Images that cannot
    be read are skipped.
    """
    model.eval()
    boxes_of = {
        record.image_id: proposals[record.image_id].top(settings.proposals).boxes
        for record in dataset.images
    }
    positives, factor = _positives_and_factor(model, dataset, boxes_of, settings, on_image)
    miners = [HardNegatives(features, settings.svm) for features in positives]
    for _ in range(settings.svm.passes):
        for index, image, truth, image_id in _readable(dataset):
            boxes = boxes_of[image_id]
            features = _fc7(model, image, boxes) * factor
            negative = negatives_of(boxes, truth, len(miners), settings.svm.negative_iou)
            for miner, of_class in zip(miners, negative.T, strict=True):
                miner.add_image(index, features, of_class)
            count = sum(len(miner.keys) for miner in miners)
            on_image(f"SVMs: {count} hard negatives, image {index + 1} of {len(dataset)}")
    _replace_softmax(model, [miner.finish() for miner in miners], factor)


def _positives_and_factor(
    model: FastRCNN,
    dataset: Dataset,
    boxes_of: Mapping[str, NDArray[np.float32]],
    settings: TrainSettings,
    on_image: Callable[[str], None],
) -> tuple[list[NDArray[np.float32]], np.float32]:
    """The scaled features of each class's objects, and the scaling factor.

    The factor gives features a mean norm of settings.svm.feature_norm.
    """
    count = len(dataset.classes)
    positives: list[list[NDArray[np.float32]]] = [[] for _ in range(count)]
    norms: list[NDArray[np.float32]] = []
    generator = generator_for(settings.seed, "svm")
    measured = set(generator.permutation(len(dataset))[:_NORM_IMAGES].tolist())
    for index, image, truth, image_id in _readable(dataset):
        used = ~(truth.difficult | truth.crowd)
        sample = boxes_of[image_id][:0]
        if index in measured:
            sample = generator.permutation(boxes_of[image_id])[:_NORM_PROPOSALS]
        objects = truth.boxes[used]
        features = _fc7(model, image, np.concatenate([objects, sample]))
        for label, of_object in zip(truth.labels[used], features, strict=False):
            positives[label - 1].append(of_object)
        norms.append(np.linalg.norm(features[len(objects) :], axis=1))
        on_image(f"SVMs: features of objects, image {index + 1} of {len(dataset)}")
    norm = float(np.mean(np.concatenate(norms))) if any(map(len, norms)) else 0.0
    factor = np.float32(settings.svm.feature_norm / norm if norm > 0 else 1.0)
    none = np.zeros((0, model.score.in_features), np.float32)
    return [np.stack(of_class) * factor if of_class else none for of_class in positives], factor


def negatives_of(
    boxes: NDArray[np.float32], truth: GroundTruth, classes: int, threshold: float
) -> NDArray[np.bool_]:
    """Whether each box is a negative of each class, (R, K).

    It is if its IoU with every object of the class, difficult ones included, is below `threshold`.
    """
    negative = np.ones((len(boxes), classes), bool)
    for label in np.unique(truth.labels):
        _, overlaps = best_overlaps(boxes, truth.boxes[truth.labels == label])
        negative[:, label - 1] = overlaps < threshold
    return negative


@torch.inference_mode()
def _fc7(model: FastRCNN, image: Image, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """fc7's outputs (R, D) for boxes (R, 4) of an image, as at test time."""
    device = model.offset_means.device
    tensor, factor = image_tensor(image, model.architecture.preprocessing)
    feature_map = model.features(to_device(batch_images([tensor]), device))
    rois = to_device(batch_rois([boxes], [factor]), device)
    parts = [
        model.fc7_of(model.pool(feature_map, part)) for part in torch.split(rois, _ROIS_AT_ONCE)
    ]
    return torch.cat(parts).cpu().numpy()


def _readable(dataset: Dataset) -> Iterator[tuple[int, Image, GroundTruth, str]]:
    for index, record in enumerate(dataset.images):
        try:
            yield index, read_image(record.path), record.truth or GroundTruth(), record.image_id
        except InputError:  # already reported by training
            continue


def _replace_softmax(model: FastRCNN, svms: Sequence[LinearSvm], factor: np.float32) -> None:
    """Copy the SVMs' weights to the score layer; they were fitted to features times `factor`."""
    with torch.no_grad():
        model.score.weight.zero_()
        model.score.bias.zero_()
        for label, svm in enumerate(svms, start=1):
            model.score.weight[label] = torch.from_numpy(svm.weights * factor)
            model.score.bias[label] = svm.bias
    model.architecture = replace(model.architecture, classifier="svm")
