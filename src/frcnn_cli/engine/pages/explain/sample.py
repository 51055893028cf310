"""The RoIs of the image in one mini-batch of training, and their loss (paper, section 2.3)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from frcnn_cli.engine.network.losses import Losses, LossWeights, multi_task_loss
from frcnn_cli.engine.network.transforms import batch_rois
from frcnn_cli.engine.pages.explain.subject import Subject
from frcnn_cli.engine.settings import Sampling, TrainSettings
from frcnn_cli.engine.training.sampling import (
    Candidates,
    Quota,
    RoiSample,
    match_candidates,
    sample_rois,
)

SAMPLING = Sampling()  # the paper's; the model may have been trained with other settings


class Forward(NamedTuple):
    """A forward pass of the first head. rois: (S, 5). pooled: (S, C, h, w). losses: their means."""

    rois: Tensor
    pooled: Tensor
    losses: Losses


def missing_loss(subject: Subject) -> str | None:
    """Why the paper's loss cannot be computed for the image; None if it can."""
    classifier = subject.model.architecture.classifier
    if classifier == "svm":
        return (
            "The class scores of this model are margins of SVMs, which replaced the softmax after "
            "training (paper, section 5.4). The loss below needs the softmax."
        )
    if subject.model.architecture.is_weak:
        return (
            f"This model was trained from image labels, by the loss of {classifier}. The loss "
            "below needs boxes of objects in training."
        )
    if subject.truth is None:
        return (
            "The loss compares the outputs with the objects that are really in the image. Give "
            "them with --truth FILE.xml (an annotation in the format of PASCAL VOC), or with "
            "--dataset NAME if the image belongs to a dataset."
        )
    return None


def candidates_of(subject: Subject) -> Candidates:
    """The objects of the ground truth, then the proposals, as training samples from them."""
    assert subject.truth is not None
    return match_candidates(subject.proposals.boxes, subject.truth, SAMPLING.foreground_iou)


def draw_sample(subject: Subject, seed: int = 0) -> RoiSample:
    """The RoIs that this image contributes to a mini-batch.

    Without ground truth, they are drawn from all proposals, and all labels are 0.
    """
    generator = np.random.default_rng(seed)
    if subject.truth is None:
        boxes = subject.proposals.boxes
        count = min(len(boxes), SAMPLING.rois_per_image)
        rows = generator.choice(len(boxes), count, replace=False)
        return RoiSample(boxes[rows], np.zeros(count, np.int64), np.zeros((count, 4), np.float32))
    foreground = round(SAMPLING.rois_per_image * SAMPLING.foreground_fraction)
    quota = Quota(SAMPLING.rois_per_image, foreground)
    coding = subject.model.architecture.box_coding
    return sample_rois(candidates_of(subject), quota, SAMPLING, generator, coding)


def box_weight(subject: Subject) -> float:
    """The paper's lambda, by default; 0 for a network without box regression."""
    return TrainSettings().box_weight if subject.model.architecture.box_regression else 0.0


def sample_rois_of(subject: Subject, sample: RoiSample) -> Tensor:
    """The RoIs (S, 5) in pixels of the input."""
    return batch_rois([sample.boxes], [subject.scale])


def sample_forward(subject: Subject, sample: RoiSample, feature_map: Tensor) -> Forward:
    """Pool the sample's RoIs from the map, run the first head, and compute the loss."""
    model = subject.model
    rois = sample_rois_of(subject, sample)
    pooled = model.pool(feature_map, rois)
    outputs = model.head(pooled)
    labels = torch.from_numpy(sample.labels)
    targets = model.normalise(torch.from_numpy(sample.targets), labels)
    weights = LossWeights(box_regression=box_weight(subject))
    losses = multi_task_loss(outputs.logits, outputs.offsets, labels, targets, weights)
    return Forward(rois, pooled, losses)
