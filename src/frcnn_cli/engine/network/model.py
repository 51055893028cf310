"""The network: feature layers, RoI pooling, and the head's layers (paper, 2.1).

A second head, a ranker of proposals and layers for image labels are optional; the paper has none.

Shapes: N images, R RoIs, C channels of the feature map, K classes (label 0 is background).
"""

from __future__ import annotations

import math
from functools import partial
from itertools import zip_longest
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from frcnn_cli.engine.boxes import decode_boxes
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.layers.box_head import BoxHead, HeadOutputs
from frcnn_cli.engine.network.layers.dropout import ImageRows, RowDropout, in_blocks
from frcnn_cli.engine.network.layers.ranker import POOLED as RANKER_POOLED
from frcnn_cli.engine.network.layers.ranker import Ranker
from frcnn_cli.engine.network.layers.weak_head import WeakHead
from frcnn_cli.engine.settings import Architecture
from frcnn_kernels import roi_pool

# Size of the pooled features that pass through the head at once. They fit in a common third-level
# cache, and are enough (167 RoIs of VGG16) to amortise reading the weights.
BLOCK_BYTES = 16 << 20
STORED_BLOCKS = 8  # for gradients; enough for 2,000 RoIs of EfficientNet-Lite, not of VGG16


class Refined(NamedTuple):
    """Outputs of the second head. rois: (R, 5), the RoIs moved by the first head.

    logits: (R, K + 1) and offsets: (R, 4 K), for these RoIs.
    """

    rois: Tensor
    logits: Tensor
    offsets: Tensor


class Outputs(NamedTuple):
    """Outputs of the head (see HeadOutputs) and of the other parts.

    refined: of the second head. objectness: (M,), the ranker's logits of the candidates. None
    for a network without this part.
    """

    logits: Tensor
    offsets: Tensor
    refined: Refined | None = None
    objectness: Tensor | None = None


class FastRCNN(BoxHead):
    """Compute class scores and box offsets of RoIs, in training and detection.

    The layers of the first head belong to the network itself. second: a head of the same layers,
    which pools again at the boxes that the first one predicts (Z. Cai and N. Vasconcelos, Cascade
    R-CNN, CVPR 2018). ranker: orders proposals before the heads. weak: replaces the sibling layers
    if the network is trained from image labels; those stay unused, so that a detector can start
    from any model file. All three are optional. The layers in the backbone's `frozen` have no
    gradients if the weights come from ImageNet.
    """

    def __init__(self, architecture: Architecture, dropout: float = 0.5) -> None:
        backbone = find_backbone(architecture.backbone)
        features = backbone.build()  # before the head, so that a seed draws the same weights
        height, width = backbone.pooled
        classes, hidden = len(architecture.classes), architecture.hidden
        sizes = (backbone.fc6_inputs, hidden, classes)
        super().__init__(*sizes, architecture.ranks, dropout, averaged=backbone.averaged)
        self.architecture = architecture
        self.pooled, self.stride = backbone.pooled, backbone.stride
        self.pooled_shape = (backbone.channels, height, width)  # of the pooled map of a RoI
        # Of all layers except the sibling layers, whose outputs are float32.
        self.dtype = torch.float32
        self.features = features
        self.second: BoxHead | None = None
        if architecture.cascade:
            ranks, averaged = architecture.ranks_of_second, backbone.averaged
            self.second = BoxHead(*sizes, ranks, dropout, shares_boxes=True, averaged=averaged)
        self.ranker = Ranker(backbone.channels) if architecture.ranker else None
        self.weak: WeakHead | None = None
        if architecture.is_weak:
            self.weak = WeakHead(hidden[1], classes, architecture.refinements)
        if architecture.pretrained:
            for name, parameter in self.features.named_parameters():
                if name.startswith(backbone.frozen):
                    parameter.requires_grad_(False)

    @property
    def heads(self) -> tuple[BoxHead, ...]:
        """The first head, which is the network itself, and the second if there is one."""
        return (self,) if self.second is None else (self, self.second)

    def forward(
        self,
        images: Tensor,
        rois: Tensor,
        drop: RowDropout | None = None,
        candidates: Tensor | None = None,
    ) -> Outputs:
        """images: (N, 3, H, W), preprocessed. rois: (R, 5), image index and input pixels.

        drop: dropout with masks per image; None uses torch's dropout. candidates: (M, 5), RoIs for
        the ranker, if there is one.
        """
        feature_map = self.features(images.to(self.dtype))
        outputs = Outputs(*self.read(feature_map, rois, drop=drop))
        if self.second is not None:
            moved = self.refine(rois, outputs.logits, outputs.offsets)
            second = self.read(feature_map, moved, self.second, drop)
            outputs = outputs._replace(refined=Refined(moved, *second))
        if self.ranker is not None and candidates is not None:
            outputs = outputs._replace(objectness=self.objectness(feature_map, candidates))
        return outputs

    def siblings(self, fc7: Tensor) -> HeadOutputs:
        """Outputs of the layers on fc7; with image labels, those of `weak`, and offsets of 0."""
        if self.weak is None:
            return super().siblings(fc7)
        x = fc7.to(self.score.weight.dtype)
        return HeadOutputs(self.weak(x), x.new_zeros(x.shape[0], self.box.out_features))

    def read(
        self,
        feature_map: Tensor,
        rois: Tensor,
        head: BoxHead | None = None,
        drop: RowDropout | None = None,
    ) -> HeadOutputs:
        """Outputs of a head (default: the first) for RoIs (R, 5) of a feature map.

        Without gradients, or with image labels, RoIs are processed in blocks, so that the pooled
        features of all RoIs (200 MB for 2,000 RoIs of VGG16) are never stored at once.
        """
        head = self if head is None else head
        if torch.is_grad_enabled():
            if self.weak is not None:
                return self._in_blocks(feature_map, rois, drop)
            return head.head(self.pool(feature_map, rois), drop)
        count = max(1, math.ceil(len(rois) / self._block_size(feature_map)))
        blocks = rois.chunk(count)
        memory = feature_map.new_empty(len(blocks[0]), feature_map.shape[1], *self.pooled)
        parts = [head.head(self.pool(feature_map, b, memory[: len(b)])) for b in blocks]
        return HeadOutputs(*(torch.cat(values) for values in zip(*parts, strict=True)))

    def _in_blocks(self, feature_map: Tensor, rois: Tensor, drop: RowDropout | None) -> HeadOutputs:
        """Outputs of the head; more than STORED_BLOCKS are computed again for gradients."""

        def of_block(rois: Tensor, rows: ImageRows | None) -> Tensor:
            # New in each call, so that the second computation has the same masks.
            own = None if rows is None else RowDropout((rows,), rois.device)
            return self.head(self.pool(feature_map, rois), own).logits

        # Whatever the number of images in this process, the blocks of an image have the same masks.
        most = self._block_size(feature_map)
        rows = [] if drop is None else in_blocks(drop.images, most)
        blocks = torch.split(rois, [block.rows for block in rows] or most)
        again = partial(checkpoint, of_block, use_reentrant=False)
        run = of_block if len(rois) <= STORED_BLOCKS * most else again
        logits = torch.cat([run(block, of_rows) for block, of_rows in zip_longest(blocks, rows)])
        return HeadOutputs(logits, logits.new_zeros(len(logits), self.box.out_features))

    def refine(self, rois: Tensor, logits: Tensor, offsets: Tensor) -> Tensor:
        """Move RoIs (R, 5) to the first head's boxes of their most probable classes.

        logits and offsets: of the first head. The background is not a candidate. No gradient passes
        through the boxes. A RoI whose box is not finite stays in place.
        """
        with torch.no_grad():
            best = logits[:, 1:].argmax(dim=1)
            count = len(self.architecture.classes)
            by_class = self.denormalise(offsets.float()).view(-1, count, 4)
            index = best[:, None, None].expand(-1, 1, 4)
            moves = by_class.gather(1, index).squeeze(1)
            boxes = decode_boxes(rois[:, 1:], moves, self.architecture.box_coding).squeeze(1)
            boxes = torch.where(boxes.isfinite().all(dim=1, keepdim=True), boxes, rois[:, 1:])
            return torch.cat([rois[:, :1], boxes], dim=1)

    def objectness(self, feature_map: Tensor, rois: Tensor) -> Tensor:
        """Logits (R,) of the ranker for RoIs (R, 5) of a feature map."""
        assert self.ranker is not None
        pooled = roi_pool(feature_map, rois, RANKER_POOLED, 1.0 / self.stride)
        logits: Tensor = self.ranker(pooled)
        return logits

    def pool(self, feature_map: Tensor, rois: Tensor, out: Tensor | None = None) -> Tensor:
        """RoI pooling: (N, C, h, w) and (R, 5) -> (R, C, pooled height, pooled width).

        out: contiguous tensor of that shape to write to; only without gradients.
        """
        return roi_pool(feature_map, rois, self.pooled, 1.0 / self.stride, out=out)

    def _block_size(self, feature_map: Tensor) -> int:
        """The most RoIs that pass through the head at once."""
        per_roi = math.prod(self.pooled_shape) * feature_map.element_size()
        return max(1, BLOCK_BYTES // per_roi)


def parameter_count(model: FastRCNN) -> int:
    """Number of parameters, without buffers."""
    return sum(parameter.numel() for parameter in model.parameters())
