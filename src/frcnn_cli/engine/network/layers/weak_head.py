"""The layers on fc7 of a network that is trained from image labels, and their scores.

Two streams compute WSDDN's scores (H. Bilen and A. Vedaldi, CVPR 2016, section 3.2). OICR adds
refined classifiers (P. Tang et al., CVPR 2017, section 3).

Shapes: R RoIs of one image, K classes, M refined classifiers (0 for WSDDN).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frcnn_cli.engine.boxes import areas, blocks, iou_matrix

_SMALLEST = 1e-30  # avoids a division by 0 if no RoI has a vote


class WeakLogits(NamedTuple):
    """Outputs of the layers before softmax.

    recognition, detection: (R, K), the streams. refined: M times (R, K + 1), 0 the background.
    """

    recognition: Tensor
    detection: Tensor
    refined: tuple[Tensor, ...]


class WeakHead(nn.Module):
    """Two streams, and the refined classifiers, as linear layers on fc7.

    (R, fc7) -> (R, 2 K + M (K + 1)), which `split_logits` divides. They are one tensor so that
    blocks of RoIs are concatenated before the softmax over all RoIs of an image.
    """

    def __init__(self, inputs: int, classes: int, refinements: int) -> None:
        super().__init__()
        self.recognition = nn.Linear(inputs, classes)
        self.detection = nn.Linear(inputs, classes)
        self.refined = nn.ModuleList(nn.Linear(inputs, classes + 1) for _ in range(refinements))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layer(x) for layer in self._layers()], dim=1)

    def draw_layers(self) -> None:
        """Draw weights from a Gaussian of deviation 0.01; biases are 0 (OICR, section 4)."""
        for layer in self._layers():
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def _layers(self) -> tuple[nn.Linear, ...]:
        return (self.recognition, self.detection, *self.refined)


def split_logits(logits: Tensor, classes: int) -> WeakLogits:
    """Divide the outputs (R, 2 K + M (K + 1)) of a WeakHead."""
    streams, refined = logits[:, : 2 * classes], logits[:, 2 * classes :]
    recognition, detection = torch.split(streams, classes, dim=1)
    parts = torch.split(refined, classes + 1, dim=1) if refined.shape[1] else ()
    return WeakLogits(recognition, detection, parts)


def wsddn_scores(logits: WeakLogits) -> Tensor:
    """Scores (R, K): softmax over the classes of each RoI, times softmax over the RoIs.

    logits: of all RoIs of one image. The sum over RoIs is the score of the image, from 0 to 1.
    """
    return F.softmax(logits.recognition, dim=1) * F.softmax(logits.detection, dim=0)


def weak_scores(logits: Tensor, classes: int, voters: Tensor | None = None) -> Tensor:
    """Scores (R, K + 1) at test time, from the outputs for all RoIs of one image.

    OICR: the mean of the refined classifiers' probabilities (section 4). WSDDN: its scores, with
    a background of 0. voters: boxes (R, 4) of the RoIs, with which WSDDN's scores are those of
    voted_scores.
    """
    parts = split_logits(logits, classes)
    if parts.refined:
        probabilities = [F.softmax(refined, dim=1) for refined in parts.refined]
        return torch.stack(probabilities).mean(dim=0)
    scores = wsddn_scores(parts)
    return F.pad(scores if voters is None else voted_scores(scores, voters), (1, 0))


def voted_scores(scores: Tensor, boxes: Tensor) -> Tensor:
    """Scores (R, K) after voting: each RoI votes for the RoIs that overlap it, per class.

    The votes of a RoI are the sum, over all RoIs, of their IoU with it times the square root of
    their score. They are scaled so that the highest score of each class stays the same. Without
    votes, the best RoI is the most typical part of an object; with votes, it is in the middle of
    the RoIs with high scores, like a cluster centre of PCL (P. Tang et al., TPAMI 2018).
    scores: not negative. boxes: (R, 4); those without area have a score of 0. Time grows with
    R * R; memory does not, except in an exported program.
    """
    scores = torch.where(areas(boxes)[:, None] > 0, scores, 0.0)
    roots = scores.sqrt()
    if torch.compiler.is_exporting():  # the number of blocks depends on that of the RoIs
        votes = iou_matrix(boxes, boxes) @ roots
    else:
        parts = [iou_matrix(boxes[rows], boxes) @ roots for rows in blocks(len(boxes), len(boxes))]
        votes = torch.cat([roots[:0], *parts])
    return votes * (_highest(scores) / _highest(votes).clamp(min=_SMALLEST))


def _highest(values: Tensor) -> Tensor:
    """The maximum (K,) of values (R, K) that are not negative; 0 without RoIs."""
    return F.pad(values, (0, 0, 0, 1)).amax(dim=0)
