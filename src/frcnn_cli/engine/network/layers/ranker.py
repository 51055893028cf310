"""A small layer that estimates how well each RoI covers an object, to order proposals.

After W. Kuo, B. Hariharan and J. Malik, DeepBox (ICCV 2015), but on the detector's feature map.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

POOLED = (3, 3)
_UNITS = 48


class Ranker(nn.Module):
    """Estimate the IoU of RoIs with the nearest object, of any class.

    Pooled features (R, C, 3, 3) -> logits (R,); their sigmoid is the IoU. With 128 channels it
    takes 55,344 multiply-adds per RoI.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        height, width = POOLED
        self.hidden = nn.Linear(channels * height * width, _UNITS)
        self.objectness = nn.Linear(_UNITS, 1)

    def forward(self, pooled: Tensor) -> Tensor:
        x = F.relu(self.hidden(pooled.flatten(1)))
        logits: Tensor = self.objectness(x)
        return logits.squeeze(1)
