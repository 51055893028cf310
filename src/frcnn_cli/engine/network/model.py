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

# Pooled features that go through fc6 and fc7 at once: they stay in a usual third-level cache,
# and are enough (167 RoIs of VGG16) that the weights are not read too often.
BLOCK_BYTES = 16 << 20


class Outputs(NamedTuple):
    """logits: (R, K + 1) class scores before softmax. offsets: (R, 4 K), normalised."""

    logits: Tensor
    offsets: Tensor


class FastRCNN(nn.Module):
    """Images and RoIs in, class scores and box offsets out; the same in training and test.

    Offsets are normalised; `denormalise` gives those that decode to boxes. The feature layers
    named by the backbone as frozen take no gradients.
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
        self.dtype = torch.float32  # of all layers but the siblings, whose outputs are float32
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

        drop: the dropout of training, where it belongs to images.

        Without gradients RoIs go through in blocks, so that the pooled features of all of
        them (200 MB of 2,000 in VGG16) are never written out.
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

        out: contiguous memory of that shape to write to, where no gradient is wanted.
        """
        return roi_pool(feature_map, rois, self.pooled, 1.0 / self.stride, out=out)

    def head(self, pooled: Tensor, drop: RowDropout | None = None) -> Outputs:
        """fc6, fc7 and the sibling layers on pooled features (R, C, h, w)."""
        x = self.fc7_of(pooled, drop).to(self.score.weight.dtype)
        return Outputs(self.score(x), self.box(x))

    def fc7_of(self, pooled: Tensor, drop: RowDropout | None = None) -> Tensor:
        """fc7's outputs (R, fc7) on pooled features (R, C, h, w)."""
        x = self._drop(F.relu(self.fc6(pooled.flatten(1))), drop)
        return self._drop(F.relu(self.fc7(x)), drop)

    def normalise(self, targets: Tensor, labels: Tensor) -> Tensor:
        """Raw target offsets (R, 4) of RoIs with `labels` (R,), as the network learns them.

        Each class has its own means and deviations; rows of background RoIs mean nothing.
        """
        index = (labels - 1).clamp(min=0)
        return (targets - self.offset_means[index]) / self.offset_deviations[index]

    def denormalise(self, offsets: Tensor) -> Tensor:
        """Offsets (R, 4 K) as they decode: times the deviations, plus the means."""
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
    """A network ready to be trained: ImageNet features, Gaussian sibling layers.

    weights: `imagenet`, `none`, or a file of the backbone's ImageNet weights. preprocessing: by
    default the backbone's; where its pixels are the backbone's, they become those that the
    weights were trained on. Raises InputError where the weights cannot be read or do not fit.
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
    """Zero-mean Gaussians of deviation 0.01 (classes) and 0.001 (boxes), biases 0 (paper, 2.3)."""
    nn.init.normal_(model.score.weight, std=0.01)
    nn.init.normal_(model.box.weight, std=0.001)
    nn.init.zeros_(model.score.bias)
    nn.init.zeros_(model.box.bias)


def rebuild_model(architecture: Architecture, tensors: Mapping[str, Tensor]) -> FastRCNN:
    """The network of an architecture with these weights, in evaluation mode.

    It is laid out without memory first, so that it needs no more than its tensors do whatever
    the architecture claims. Raises RuntimeError where the two do not fit.
    """
    with torch.device("meta"):
        model = FastRCNN(architecture)
    # Copies, since sums differ in the last bit with the alignment of memory, and that of a
    # file's tensors is not the one that a new network has.
    state = {name: value.float().clone() for name, value in tensors.items()}
    model.load_state_dict(state, assign=True)
    return model.to(memory_format=torch.channels_last).eval()


def with_ranks(architecture: Architecture, ranks: dict[str, int]) -> Architecture:
    """The same architecture with these layers in two parts."""
    return replace(architecture, ranks={**architecture.ranks, **ranks})


def parameter_count(model: FastRCNN) -> int:
    """Numbers that the model's layers hold, buffers left out."""
    return sum(parameter.numel() for parameter in model.parameters())


def _load(
    model: FastRCNN, state: dict[str, Tensor], new: tuple[str, ...], file: Path | None
) -> None:
    """Load published weights; only layers that start with one of `new` may go without."""
    name = model.architecture.backbone
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        mismatch = reason(str(error).splitlines()[-1])
        raise InputError(f"{file or name}: the weights do not fit {name}: {mismatch}") from error
    strange = [*(each for each in missing if not each.startswith(new)), *unexpected]
    if strange:
        raise InputError(
            f"{file or name}: the weights do not fit {name}: {strange[0]} is "
            f"{'not in it' if strange[0] in unexpected else 'missing'}."
        )
