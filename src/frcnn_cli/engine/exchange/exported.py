"""A detector as one function of tensors, for export, and its description in the exported file.

It contains RoI pooling from basic tensor operators, for runtimes without an operator for it. The
result is bit-identical to frcnn_kernels.roi_pool. The maximum of a window is the maximum of four
overlapping rectangles whose sides are powers of two (a two-dimensional sparse table). This needs no
loop over RoIs, whose number is unknown in a traced program.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frcnn_cli import __version__
from frcnn_cli.engine.boxes import decode_boxes
from frcnn_cli.engine.detection.views import class_scores
from frcnn_cli.engine.exchange.plain_selection import best_ranked, best_scored
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.layers.ranker import POOLED as RANKER_POOLED
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, DetectSettings
from frcnn_cli.engine.settings.network import Resize
from frcnn_kernels import roi_pool

KEY = "frcnn"  # key of the description in the file's metadata
INPUTS = ("image", "boxes", "scale", "size")
OUTPUTS = ("scores", "decoded")
_IMAGES: dict[Resize, str] = {
    "uint8": "uint8 (h, w, 3): RGB, resized by `scale` to rounded sides",
    "float32": "float32 (h, w, 3): RGB from 0 to 255, resized by exactly `scale`, not rounded",
}
_MEANINGS = {
    "boxes": "float32 (R, 4): proposals x1, y1, x2, y2, 0-based, inclusive, in original pixels",
    "scale": "float32 (): from original to resized pixels; the shorter side becomes "
    "preprocessing.scale, the longer at most preprocessing.max_size",
    "size": "int64 (2,): height and width of the original image",
    "scores": "float32 (S, K + 1): of background and each class; probabilities if softmax, "
    "margins if svm; NaN for a proposal that is not finite",
    "decoded": "float32 (S, K, 4): one box per class, clipped to the image; NaN for a proposal "
    "that is not finite. S is R, or at most max_proposals if the model selects RoIs",
}


class ExportedDetector(nn.Module):
    """Scores and boxes per proposal before suppression, equal to those of `score_boxes`.

    The module normalises pixels, and scales, decodes and clips boxes, so that the caller only has
    to resize the image. plain: build RoI pooling from basic operators, for images up to
    `longest_side`. max_proposals: as in DetectSettings, for a model that selects RoIs.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: FastRCNN,
        plain: bool,
        max_proposals: int = DetectSettings().max_proposals,
    ) -> None:
        super().__init__()
        self.model = model.eval()
        self.plain = plain
        self.max_proposals = max_proposals
        preprocessing = model.architecture.preprocessing
        self.register_buffer("mean", torch.tensor(preprocessing.mean))
        self.register_buffer("std", torch.tensor(preprocessing.std))

    def forward(
        self, image: Tensor, boxes: Tensor, scale: Tensor, size: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Arguments and results: see `_MEANINGS`.

        `score_boxes` raises an error for a box that is not finite. A traced program cannot, and
        RoI pooling would return the values of some cell, so its results are NaN.
        """
        model, architecture = self.model, self.model.architecture
        feature_map = model.features(self._pixels(image))
        finite = torch.isfinite(boxes * scale).all(dim=1, keepdim=True)
        scaled = torch.where(finite, boxes * scale, 0.0)
        rois = torch.cat((torch.zeros_like(scaled[:, :1]), scaled), dim=1)
        if model.ranker is not None:
            objectness = model.ranker(self._pool(feature_map, rois, RANKER_POOLED))
            best = best_ranked(objectness, torch.where(finite, boxes, 0.0), self.max_proposals)
            boxes, rois, finite = boxes[best], rois[best], finite[best]
        logits, offsets = model.head(self._pool(feature_map, rois, model.pooled))
        scores = class_scores(model, logits)
        if model.second is not None:
            if model.ranker is None:
                best = best_scored(scores, self.max_proposals)
                scores, rois, finite = scores[best], rois[best], finite[best]
                logits, offsets = logits[best], offsets[best]
            rois = model.refine(rois, logits, offsets)
            second = model.second.head(self._pool(feature_map, rois, model.pooled))
            scores = (scores + class_scores(model, second.logits)) / 2
            offsets = model.second.denormalise(second.offsets)
            decoded = decode_boxes(rois[:, 1:], offsets, architecture.box_coding) / scale
        elif architecture.box_regression:
            decoded = decode_boxes(boxes, model.denormalise(offsets), architecture.box_coding)
        else:
            decoded = boxes[:, None].repeat(1, len(architecture.classes), 1)
        limits = (size.flip(0) - 1).repeat(2).to(boxes.dtype)
        decoded = torch.minimum(decoded.clamp(min=0), limits)
        missing = scores.new_tensor(math.nan)
        scores = torch.where(finite, scores, missing)
        return scores, torch.where(finite[..., None], decoded, missing)

    def _pixels(self, image: Tensor) -> Tensor:
        """Convert (h, w, 3) RGB to the (1, 3, h, w) pixels that the network was trained on.

        They are contiguous: see `_contiguous_weights` in export.py.
        """
        preprocessing = self.model.architecture.preprocessing
        planes = image.unbind(2)
        pixels = torch.stack(planes[::-1] if preprocessing.channels == "bgr" else planes)
        mean, std = self.mean[:, None, None], self.std[:, None, None]
        return ((pixels.to(torch.float32) / preprocessing.divisor - mean) / std)[None]

    def _pool(self, feature_map: Tensor, rois: Tensor, pooled: tuple[int, int]) -> Tensor:
        stride = self.model.stride
        if not self.plain:
            return roi_pool(feature_map, rois, pooled, 1.0 / stride)
        longest = longest_side(self.model.architecture) // stride + 2
        return plain_roi_pool(feature_map, rois, pooled, 1.0 / stride, longest)


def longest_side(architecture: Architecture) -> int:
    """Longest side of images that plain RoI pooling supports; at least the paper's 2000."""
    return max(2000, architecture.preprocessing.max_size)


def example_inputs(
    architecture: Architecture, others: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A generated image and three proposals, to trace the detector and compare outputs.

    others: number of further proposals, of random sizes.
    """
    draw = torch.Generator().manual_seed(0)
    height, width = 100, 150
    preprocessing = architecture.preprocessing
    factor = min(preprocessing.scale / height, preprocessing.max_size / width, 2.0)
    sides = round(height * factor), round(width * factor)
    coarse = torch.rand(1, 3, 6, 9, generator=draw) * 255
    image = nn.functional.interpolate(coarse, sides, mode="bilinear")[0].permute(1, 2, 0)
    boxes = torch.tensor([[0, 0, 149, 99], [10.4, 20.6, 80, 70], [60, 5, 140, 90]])
    corners = torch.rand(2, others, 2, generator=draw) * torch.tensor([width - 1.0, height - 1.0])
    boxes = torch.cat([boxes, torch.cat([corners.amin(dim=0), corners.amax(dim=0)], dim=1)])
    return (
        image.to(getattr(torch, preprocessing.resize)).contiguous(),
        boxes,
        torch.tensor(factor, dtype=torch.float32),
        torch.tensor([height, width]),
    )


def describe(architecture: Architecture, name: str, detect: DetectSettings) -> str:
    """Describe an exported model as JSON: classes, preprocessing, box coding, inputs and outputs.

    name: name of the model's file. detect: settings for the boxes that the model returns.
    """
    meanings = {"image": _IMAGES[architecture.preprocessing.resize], **_MEANINGS}
    values = {
        "model": name,
        "frcnn": __version__,
        **{key: value for key, value in asdict(architecture).items() if key != "pretrained"},
        "max_proposals": detect.max_proposals if architecture.selects_rois else None,
        "detect": {key: value for key, value in asdict(detect).items() if key != "precision"},
        "stride": find_backbone(architecture.backbone).stride,
        "inputs": {key: meanings[key] for key in INPUTS},
        "outputs": {key: meanings[key] for key in OUTPUTS},
    }
    return json.dumps(values)


Bounds = tuple[Tensor, Tensor]


def plain_roi_pool(
    feature_map: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float,
    longest: int,
) -> Tensor:
    """Pool the RoIs of one image to `output_size`, without gradients.

    feature_map: (1, C, h, w), h and w at most `longest`. rois: (R, 5), image index (ignored, since
    it is 0) and corners in image pixels. Returns (R, C, *output_size).
    """
    height, width = feature_map.shape[2:]
    rows = _windows(rois[:, 2], rois[:, 4], spatial_scale, output_size[0], height)
    columns = _windows(rois[:, 1], rois[:, 3], spatial_scale, output_size[1], width)
    levels = int(math.log2(longest)) + 1
    table = _table(feature_map[0].permute(1, 2, 0), levels)
    pooled = None
    row_level, column_level = _level(rows, levels), _level(columns, levels)
    for y in _intervals(rows, row_level):
        for x in _intervals(columns, column_level):
            level = row_level[:, :, None] * levels + column_level[:, None, :]
            cells = (level * height + y[:, :, None]) * width + x[:, None, :]
            corner = table[cells]
            pooled = corner if pooled is None else torch.maximum(pooled, corner)
    assert pooled is not None
    full = (rows[1] > rows[0])[:, :, None] & (columns[1] > columns[0])[:, None, :]
    return torch.where(full[..., None], pooled, 0.0).permute(0, 3, 1, 2)


def _windows(low: Tensor, high: Tensor, spatial_scale: float, bins: int, extent: int) -> Bounds:
    """Start and end (exclusive) of each bin in cells, int64 (R, bins), clamped to the map."""
    start = _round_half_away(low * spatial_scale)[:, None]
    length = (_round_half_away(high * spatial_scale)[:, None] - start + 1).clamp(min=1)
    size = length / bins
    index = torch.arange(bins, dtype=low.dtype, device=low.device)
    first = torch.floor(index * size) + start
    end = torch.ceil((index + 1) * size) + start
    return first.clamp(0, extent).long(), end.clamp(0, extent).long()


def _round_half_away(position: Tensor) -> Tensor:
    whole = torch.trunc(position)
    return whole + torch.sign(position) * ((position - whole).abs() >= 0.5)


def _level(bounds: Bounds, levels: int) -> Tensor:
    """The largest k such that 2^k cells fit in each window; 0 for an empty window."""
    size = bounds[1] - bounds[0]
    return sum(((size >= 2**k).long() for k in range(1, levels)), start=torch.zeros_like(size))


def _intervals(bounds: Bounds, level: Tensor) -> Bounds:
    """Starts of two intervals of length 2^level that cover each window together."""
    first, end = bounds
    # An empty window may start at the end of the map; its value is not used.
    last = torch.maximum(end - 2**level, torch.zeros_like(first))
    return torch.minimum(first, last), last


def _table(cells: Tensor, levels: int) -> Tensor:
    """(h, w, C) -> (levels^2 h w, C): maxima of 2^i x 2^j cells from each cell, all i, j."""
    rows = torch.stack(_maxima(cells, levels, 0))
    return torch.stack(_maxima(rows, levels, 2), dim=1).flatten(0, 3)


def _maxima(values: Tensor, levels: int, dim: int) -> list[Tensor]:
    """The maxima of 1, 2, 4, ... consecutive values that start at each value along `dim`."""
    maxima = [values]
    for k in range(levels - 1):
        padding = (0, 0) * (values.ndim - 1 - dim) + (0, 2**k)
        padded = F.pad(maxima[-1], padding, value=-math.inf)
        maxima.append(torch.maximum(maxima[-1], padded.narrow(dim, 2**k, values.shape[dim])))
    return maxima
