"""The network: feature layers, RoI pooling, fc6, fc7, and two sibling layers (paper, 2.1).

Shapes: N images, R RoIs, C channels of the feature map, K classes (label 0 is background).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frcnn_cli.engine.network.backbones.base import Backbone
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.backbones.weights import load_pretrained
from frcnn_cli.engine.network.layers.dropout import RowDropout
from frcnn_cli.engine.network.layers.low_rank import linear
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_kernels import roi_pool
from frcnn_proposals.errors import InputError, reason

# Size of the pooled features that pass through fc6 and fc7 at once. They fit in a common
# third-level cache, and are enough (167 RoIs of VGG16) to amortise reading the weights.
BLOCK_BYTES = 16 << 20


class Outputs(NamedTuple):
    """logits: (R, K + 1) class scores before softmax. offsets: (R, 4 K), normalised."""

    logits: Tensor
    offsets: Tensor


class FastRCNN(nn.Module):
    """Compute class scores and box offsets of RoIs, in training and detection.

    Offsets are normalised; decode the result of `denormalise` to get boxes. The layers in the
    backbone's `frozen` have no gradients if the weights come from ImageNet.
    """

    offset_means: Tensor
    offset_deviations: Tensor

    def __init__(self, architecture: Architecture, dropout: float = 0.5) -> None:
        super().__init__()
        backbone = find_backbone(architecture.backbone)
        height, width = backbone.pooled
        classes = len(architecture.classes)
        fc6, fc7 = architecture.hidden
        ranks = architecture.ranks
        self.architecture = architecture
        self.pooled, self.stride = backbone.pooled, backbone.stride
        self.dropout = dropout
        self.dtype = (
            torch.float32
        )  # of all layers except the sibling layers, whose outputs are float32
        self.features = backbone.build()
        self.fc6 = linear(backbone.channels * height * width, fc6, ranks.get("fc6"))
        self.fc7 = linear(fc6, fc7, ranks.get("fc7"))
        self.score = nn.Linear(fc7, classes + 1)
        self.box = nn.Linear(fc7, 4 * classes)
        self.register_buffer("offset_means", torch.zeros(classes, 4))
        self.register_buffer("offset_deviations", torch.ones(classes, 4))
        if architecture.pretrained:
            for name, parameter in self.features.named_parameters():
                if name.startswith(backbone.frozen):
                    parameter.requires_grad_(False)

    def forward(self, images: Tensor, rois: Tensor, drop: RowDropout | None = None) -> Outputs:
        """images: (N, 3, H, W), preprocessed. rois: (R, 5), image index and input pixels.

        drop: dropout with masks per image; None uses torch's dropout.

        Without gradients, RoIs are processed in blocks, so that the pooled features of all RoIs
        (200 MB for 2,000 RoIs of VGG16) are never stored at once.
        """
        feature_map = self.features(images.to(self.dtype))
        if torch.is_grad_enabled():
            return self.head(self.pool(feature_map, rois), drop)
        blocks = rois.chunk(self._block_count(feature_map, len(rois)))
        memory = feature_map.new_empty(len(blocks[0]), feature_map.shape[1], *self.pooled)
        parts = [self.head(self.pool(feature_map, b, memory[: len(b)])) for b in blocks]
        return Outputs(*(torch.cat(values) for values in zip(*parts, strict=True)))

    def pool(self, feature_map: Tensor, rois: Tensor, out: Tensor | None = None) -> Tensor:
        """RoI pooling: (N, C, h, w) and (R, 5) -> (R, C, pooled height, pooled width).

        out: contiguous tensor of that shape to write to; only without gradients.
        """
        return roi_pool(feature_map, rois, self.pooled, 1.0 / self.stride, out=out)

    def head(self, pooled: Tensor, drop: RowDropout | None = None) -> Outputs:
        """Run fc6, fc7 and the sibling layers on pooled features (R, C, h, w)."""
        x = self.fc7_of(pooled, drop).to(self.score.weight.dtype)
        return Outputs(self.score(x), self.box(x))

    def fc7_of(self, pooled: Tensor, drop: RowDropout | None = None) -> Tensor:
        """Outputs of fc7, (R, fc7), for pooled features (R, C, h, w)."""
        x = self._drop(F.relu(self.fc6(pooled.flatten(1))), drop)
        return self._drop(F.relu(self.fc7(x)), drop)

    def normalise(self, targets: Tensor, labels: Tensor) -> Tensor:
        """Normalise target offsets (R, 4) of RoIs with `labels` (R,).

        Each class has its own means and deviations; rows of background RoIs are meaningless.
        """
        index = (labels - 1).clamp(min=0)
        return (targets - self.offset_means[index]) / self.offset_deviations[index]

    def denormalise(self, offsets: Tensor) -> Tensor:
        """Denormalise offsets (R, 4 K): multiply by the deviations and add the means."""
        return offsets * self.offset_deviations.flatten() + self.offset_means.flatten()

    def _block_count(self, feature_map: Tensor, rois: int) -> int:
        numbers = feature_map.shape[1] * self.pooled[0] * self.pooled[1]
        return max(1, math.ceil(rois * numbers * feature_map.element_size() / BLOCK_BYTES))

    def _drop(self, x: Tensor, drop: RowDropout | None) -> Tensor:
        if drop is None or not self.training:
            return F.dropout(x, self.dropout, self.training)
        return drop(x, self.dropout)


def create_model(
    backbone: Backbone,
    classes: tuple[str, ...],
    weights: str | Path = "imagenet",
    preprocessing: Preprocessing | None = None,
    seed: int = 0,
) -> FastRCNN:
    """Create a network for training, with ImageNet features and Gaussian sibling layers.

    weights: `imagenet`, `none`, or a file with the backbone's ImageNet weights. preprocessing:
    default, the backbone's; if its pixels are the backbone's, they are replaced by those that the
    weights were trained on. Raises InputError if the weights cannot be read or do not fit.
    """
    file = None if weights in ("imagenet", "none") else Path(weights)
    pretrained = None if weights == "none" else load_pretrained(backbone, file)
    preprocessing = preprocessing or backbone.preprocessing
    is_default = preprocessing == preprocessing.with_pixels_of(backbone.preprocessing)
    if pretrained is not None and is_default:
        preprocessing = preprocessing.with_pixels_of(pretrained.preprocessing)
    torch.manual_seed(seed)
    model = FastRCNN(
        Architecture(
            backbone=backbone.name,
            classes=classes,
            hidden=backbone.hidden,
            preprocessing=preprocessing,
            pretrained=pretrained is not None,
        )
    )
    draw_sibling_layers(model)
    if pretrained is not None:
        head = pretrained.head
        state = {f"features.{name}": value for name, value in pretrained.features.items()} | head
        new = ("score.", "box.", "offset_", *(f"features.{name}" for name in backbone.new_layers))
        _load(model, state, new if head else (*new, "fc6.", "fc7."), file)
    return model.to(memory_format=torch.channels_last)


def draw_sibling_layers(model: FastRCNN) -> None:
    """Initialise by zero-mean Gaussians with deviation 0.01 (classes) and 0.001 (boxes), biases 0.

    Paper, section 2.3.
    """
    nn.init.normal_(model.score.weight, std=0.01)
    nn.init.normal_(model.box.weight, std=0.001)
    nn.init.zeros_(model.score.bias)
    nn.init.zeros_(model.box.bias)


def rebuild_model(architecture: Architecture, tensors: Mapping[str, Tensor]) -> FastRCNN:
    """Build the network of an architecture with the given weights, in evaluation mode.

    It is first built on the meta device, so that it needs only the memory of its tensors, whatever
    sizes the architecture claims. Raises RuntimeError if the weights do not fit.
    """
    with torch.device("meta"):
        model = FastRCNN(architecture)
    # Copied, since sums depend in the last bit on the alignment of memory, and the tensors of a
    # file are aligned differently from those of a new network.
    state = {name: value.float().clone() for name, value in tensors.items()}
    model.load_state_dict(state, assign=True)
    return model.to(memory_format=torch.channels_last).eval()


def with_ranks(architecture: Architecture, ranks: dict[str, int]) -> Architecture:
    """The same architecture with the given layers in two parts."""
    return replace(architecture, ranks={**architecture.ranks, **ranks})


def parameter_count(model: FastRCNN) -> int:
    """Number of parameters, without buffers."""
    return sum(parameter.numel() for parameter in model.parameters())


def _load(
    model: FastRCNN, state: dict[str, Tensor], new: tuple[str, ...], file: Path | None
) -> None:
    """Load published weights; only layers that start with one of `new` may be missing."""
    name = model.architecture.backbone
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        mismatch = reason(str(error).splitlines()[-1])
        raise InputError(f"{file or name}: the weights do not fit {name}: {mismatch}") from error
    misfits = [*(key for key in missing if not key.startswith(new)), *unexpected]
    if misfits:
        raise InputError(
            f"{file or name}: the weights do not fit {name}: {misfits[0]} is "
            f"{'not part of it' if misfits[0] in unexpected else 'missing'}."
        )
