"""A detector as one function of tensors, for export, and its description in the exported file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import NamedTuple

import torch
from torch import Tensor, nn

from frcnn_cli import __version__
from frcnn_cli.engine.boxes import decode_boxes
from frcnn_cli.engine.detection.views import class_scores, moves_boxes
from frcnn_cli.engine.exchange.plain_roi_pool import plain_roi_pool
from frcnn_cli.engine.exchange.plain_selection import best_ranked, best_scored, first_of_window
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.layers.ranker import POOLED as RANKER_POOLED
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, DetectSettings
from frcnn_cli.engine.settings.network import Resize
from frcnn_kernels import roi_pool

KEY = "frcnn"  # key of the description in the file's metadata
INPUTS = ("image", "boxes", "scale", "size")
OUTPUTS = ("scores", "decoded")
NMS_OUTPUTS = (*OUTPUTS, "detected_boxes", "detected_scores", "detected_labels")
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
    "margins if svm, those of its paper if wsddn or oicr; NaN for a proposal that is not finite",
    "decoded": "float32 (S, K, 4): one box per class, clipped to the image; NaN for a proposal "
    "that is not finite. S is R, or at most max_proposals if the model selects RoIs",
    "detected_boxes": "float32 (N, 4): detections, best first, as x1, y1, x2, y2 like `boxes`",
    "detected_scores": "float32 (N,): as in `scores`",
    "detected_labels": "int64 (N,): from 1 to K; label i is classes[i - 1]",
}


class Reading(NamedTuple):
    """What the network returns for S proposals of an image.

    scores: (S, K + 1). boxes: (S, K, 4), clipped. finite: bool (S, 1), False for a proposal that is
    not finite, whose other values have no meaning.
    """

    scores: Tensor
    boxes: Tensor
    finite: Tensor

    def marked(self) -> tuple[Tensor, Tensor]:
        """Scores and boxes, which are NaN for a proposal that is not finite.

        `score_boxes` raises an error for such a proposal. A traced program cannot, and RoI pooling
        would return the values of some cell.
        """
        missing = self.scores.new_tensor(math.nan)
        scores = torch.where(self.finite, self.scores, missing)
        return scores, torch.where(self.finite[..., None], self.boxes, missing)


class ExportedDetector(nn.Module):
    """Scores and boxes per proposal before suppression, equal to those of `score_boxes`.

    The module normalises pixels, and scales, decodes and clips boxes, so that the caller only has
    to resize the image. plain: build RoI pooling from basic operators, for images up to
    `longest_side`. settings: only box_regression and max_proposals are used. share_windows: give
    RoIs with the same window of the feature map equal scores, as in detection, so that their order
    is defined; this needs a matrix of R x R numbers.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: FastRCNN,
        plain: bool,
        settings: DetectSettings | None = None,
        share_windows: bool = False,
    ) -> None:
        super().__init__()
        self.model = model.eval()
        self.plain = plain
        self.settings = settings or DetectSettings()
        self.share_windows = share_windows
        preprocessing = model.architecture.preprocessing
        self.register_buffer("mean", torch.tensor(preprocessing.mean))
        self.register_buffer("std", torch.tensor(preprocessing.std))

    def forward(
        self, image: Tensor, boxes: Tensor, scale: Tensor, size: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Arguments and results: see `_MEANINGS`."""
        return self.read(image, boxes, scale, size).marked()

    def read(self, image: Tensor, boxes: Tensor, scale: Tensor, size: Tensor) -> Reading:
        """Run the network; for the arguments, see `_MEANINGS`."""
        model, architecture = self.model, self.model.architecture
        most = self.settings.max_proposals
        feature_map = model.features(self._pixels(image))
        finite = torch.isfinite(boxes * scale).all(dim=1, keepdim=True)
        boxes = torch.where(finite, boxes, 0.0)
        rois = torch.cat((torch.zeros_like(boxes[:, :1]), boxes * scale), dim=1)
        if model.ranker is not None:
            objectness = model.ranker(self._pool(feature_map, rois, RANKER_POOLED))
            best = best_ranked(objectness, boxes, most)
            boxes, rois, finite = boxes[best], rois[best], finite[best]
        logits, offsets = model.head(self._pool(feature_map, rois, model.pooled))
        if self.share_windows:
            first = first_of_window(rois, model.stride)
            logits, offsets = logits[first], offsets[first]
        # Without area, a proposal that is not finite does not vote.
        voters = torch.where(finite, boxes, boxes.new_tensor([0.0, 0.0, -1.0, -1.0]))
        scores = class_scores(model, logits, voters)
        if model.second is None:
            decoded = decode_boxes(boxes, model.denormalise(offsets), architecture.box_coding)
        else:
            if model.ranker is None:
                best = best_scored(scores, most)
                scores, rois, finite, boxes = scores[best], rois[best], finite[best], boxes[best]
                logits, offsets = logits[best], offsets[best]
            moved = model.refine(rois, logits, offsets)
            second = model.second.head(self._pool(feature_map, moved, model.pooled))
            scores = (scores + class_scores(model, second.logits, boxes)) / 2
            offsets = model.second.denormalise(second.offsets)
            decoded = decode_boxes(moved[:, 1:], offsets, architecture.box_coding) / scale
        if not moves_boxes(model, self.settings):
            decoded = boxes[:, None].repeat(1, len(architecture.classes), 1)
        limits = (size.flip(0) - 1).repeat(2).to(boxes.dtype)
        return Reading(scores, torch.minimum(decoded.clamp(min=0), limits), finite)

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


def describe(
    architecture: Architecture, name: str, detect: DetectSettings, with_nms: bool = False
) -> str:
    """Describe an exported model as JSON: classes, preprocessing, box coding, inputs and outputs.

    name: name of the model's file. detect: settings for the boxes that the model returns, which it
    applies itself if `with_nms`.
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
        "with_nms": with_nms,
        "outputs": {key: meanings[key] for key in (NMS_OUTPUTS if with_nms else OUTPUTS)},
    }
    return json.dumps(values)
