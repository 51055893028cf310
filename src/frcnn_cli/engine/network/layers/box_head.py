"""The layers on pooled features: fc6, fc7, and two sibling layers (paper, section 2.1).

Shapes: R RoIs, C channels of the feature map, K classes (label 0 is background).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frcnn_cli.engine.network.layers.dropout import RowDropout
from frcnn_cli.engine.network.layers.low_rank import linear


class HeadOutputs(NamedTuple):
    """logits: (R, K + 1) class scores before softmax. offsets: (R, 4 K), normalised.

    With image labels, logits are the outputs of a WeakHead, and all offsets are 0.
    """

    logits: Tensor
    offsets: Tensor


class BoxHead(nn.Module):
    """Compute class scores and box offsets from pooled features.

    inputs: of fc6. hidden: outputs of fc6 and fc7. ranks: layer name -> rank, for layers in two
    parts. shares_boxes: all classes have the same box. averaged: fc6 reads the mean over the cells
    of the pooled map, C numbers, instead of all C h w. Offsets are normalised; decode the result
    of `denormalise` to get boxes.
    """

    offset_means: Tensor
    offset_deviations: Tensor

    def __init__(
        self,
        inputs: int,
        hidden: tuple[int, int],
        classes: int,
        ranks: Mapping[str, int],
        dropout: float,
        shares_boxes: bool = False,
        averaged: bool = False,
    ) -> None:
        super().__init__()
        fc6, fc7 = hidden
        self.dropout = dropout
        self.averaged = averaged
        self.fc6 = linear(inputs, fc6, ranks.get("fc6"))
        self.fc7 = linear(fc6, fc7, ranks.get("fc7"))
        self.score = nn.Linear(fc7, classes + 1)
        self.shares_boxes = shares_boxes
        self.box = nn.Linear(fc7, 4 if shares_boxes else 4 * classes)
        self.register_buffer("offset_means", torch.zeros(classes, 4))
        self.register_buffer("offset_deviations", torch.ones(classes, 4))

    def head(self, pooled: Tensor, drop: RowDropout | None = None) -> HeadOutputs:
        """Run fc6, fc7 and the sibling layers on pooled features (R, C, h, w)."""
        return self.siblings(self.fc7_of(pooled, drop))

    def fc7_of(self, pooled: Tensor, drop: RowDropout | None = None) -> Tensor:
        """Outputs of fc7, (R, fc7), for pooled features (R, C, h, w)."""
        return self.fc7_after(self.fc6_of(pooled, drop), drop)

    def fc6_of(self, pooled: Tensor, drop: RowDropout | None = None) -> Tensor:
        """Outputs of fc6 after ReLU, (R, fc6), for pooled features (R, C, h, w)."""
        x = pooled.mean(dim=(2, 3)) if self.averaged else pooled.flatten(1)
        return self._drop(F.relu(self.fc6(x)), drop)

    def fc7_after(self, fc6: Tensor, drop: RowDropout | None = None) -> Tensor:
        """Outputs of fc7 after ReLU, (R, fc7), for outputs (R, fc6) of fc6."""
        return self._drop(F.relu(self.fc7(fc6)), drop)

    def siblings(self, fc7: Tensor) -> HeadOutputs:
        """Class scores and box offsets for outputs (R, fc7) of fc7."""
        x = fc7.to(self.score.weight.dtype)
        offsets = self.box(x)
        if self.shares_boxes:
            offsets = offsets.repeat(1, len(self.offset_means))
        return HeadOutputs(self.score(x), offsets)

    def normalise(self, targets: Tensor, labels: Tensor) -> Tensor:
        """Normalise target offsets (R, 4) of RoIs with `labels` (R,).

        Each class has its own means and deviations; rows of background RoIs are meaningless.
        """
        index = (labels - 1).clamp(min=0)
        return (targets - self.offset_means[index]) / self.offset_deviations[index]

    def denormalise(self, offsets: Tensor) -> Tensor:
        """Denormalise offsets (R, 4 K): multiply by the deviations and add the means."""
        return offsets * self.offset_deviations.flatten() + self.offset_means.flatten()

    def draw_sibling_layers(self) -> None:
        """Draw weights from zero-mean Gaussians; biases are 0 (paper, section 2.3).

        The deviation is 0.01 for classes and 0.001 for boxes.
        """
        nn.init.normal_(self.score.weight, std=0.01)
        nn.init.normal_(self.box.weight, std=0.001)
        nn.init.zeros_(self.score.bias)
        nn.init.zeros_(self.box.bias)

    def _drop(self, x: Tensor, drop: RowDropout | None) -> Tensor:
        if drop is None or not self.training:
            return F.dropout(x, self.dropout, self.training)
        return drop(x, self.dropout)
