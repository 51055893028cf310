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


def weak_scores(logits: Tensor, classes: int) -> Tensor:
    """Scores (R, K + 1) at test time, from the outputs for all RoIs of one image.

    OICR: the mean of the refined classifiers' probabilities (section 4). WSDDN: its scores, with
    a background of 0.
    """
    parts = split_logits(logits, classes)
    if parts.refined:
        probabilities = [F.softmax(refined, dim=1) for refined in parts.refined]
        return torch.stack(probabilities).mean(dim=0)
    return F.pad(wsddn_scores(parts), (1, 0))
