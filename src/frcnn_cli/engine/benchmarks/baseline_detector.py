"""Fast R-CNN put together from parts that are at hand: what ours is measured against.

torchvision's roi_pool and nms, the network in float32 with channels first, every proposal
through it, and a Python loop over the classes. It takes its weights from one of our models.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from frcnn_cli.engine.boxes import clip_boxes, decode_boxes
from frcnn_cli.engine.network.model import FastRCNN, Outputs
from frcnn_cli.engine.network.transforms import batch_images, batch_rois, image_tensor
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Image, Proposals


class BaselineNetwork(nn.Module):
    """The layers of `model`, copied, in torch's default layout; the same inputs and outputs."""

    def __init__(self, model: FastRCNN) -> None:
        super().__init__()
        self.pooled, self.stride = model.pooled, model.stride
        self.dropout = model.dropout
        self.features = copy.deepcopy(model.features).to(memory_format=torch.contiguous_format)
        self.fc6, self.fc7 = copy.deepcopy(model.fc6), copy.deepcopy(model.fc7)
        self.score, self.box = copy.deepcopy(model.score), copy.deepcopy(model.box)
        self.train(model.training)

    def forward(self, images: Tensor, rois: Tensor) -> Outputs:
        """images: (N, 3, H, W), contiguous. rois: (R, 5), image index and input pixels."""
        x = self.pool(self.features(images), rois).flatten(1)
        x = F.dropout(F.relu(self.fc6(x)), self.dropout, self.training)
        x = F.dropout(F.relu(self.fc7(x)), self.dropout, self.training)
        return Outputs(self.score(x), self.box(x))

    def pool(self, feature_map: Tensor, rois: Tensor) -> Tensor:
        """(N, C, h, w) and (R, 5) -> (R, C, pooled height, pooled width)."""
        pooled: Tensor = torchvision.ops.roi_pool(feature_map, rois, self.pooled, 1.0 / self.stride)
        return pooled


class BaselineDetector:
    """The test procedure around the baseline's network."""

    def __init__(self, model: FastRCNN) -> None:
        self.network = BaselineNetwork(model).eval()
        self.model = model  # for its preprocessing and its offsets' statistics

    @torch.inference_mode()
    def detect(self, image: Image, proposals: Proposals, settings: DetectSettings) -> Detections:
        """Detections in one RGB image (H, W, 3) uint8, highest score first."""
        scores, boxes = self.score_boxes(image, proposals.top(settings.proposals))
        best_scores, best_boxes, best_labels = [], [], []
        for label in range(1, scores.shape[1]):
            of_class, rows = scores[:, label].sort(descending=True)
            rows = rows[of_class >= (settings.score_threshold or 0.0)][: settings.max_per_class]
            candidates, their_scores = boxes[rows, label - 1], scores[rows, label]
            inclusive = candidates + candidates.new_tensor([0.0, 0.0, 1.0, 1.0])
            kept = torchvision.ops.nms(inclusive, their_scores, settings.nms_iou)
            best_scores.append(their_scores[kept])
            best_boxes.append(candidates[kept])
            best_labels.append(torch.full((len(kept),), label))
        ordered, order = torch.cat(best_scores).sort(descending=True)
        order = order[: settings.top_k]
        return Detections(
            torch.cat(best_boxes)[order].numpy(),
            ordered[: settings.top_k].numpy(),
            torch.cat(best_labels)[order].numpy(),
        )

    @torch.inference_mode()
    def score_boxes(self, image: Image, proposals: Proposals) -> tuple[Tensor, Tensor]:
        """Probabilities (R, K + 1) and boxes (R, K, 4), clipped, in original pixels."""
        architecture = self.model.architecture
        tensor, factor = image_tensor(image, architecture.preprocessing)
        outputs = self.network(
            batch_images([tensor]).contiguous(), batch_rois([proposals.boxes], [factor])
        )
        offsets = self.model.denormalise(outputs.offsets)
        boxes = decode_boxes(torch.from_numpy(proposals.boxes), offsets, architecture.box_coding)
        return torch.softmax(outputs.logits, dim=1), clip_boxes(boxes, *image.shape[:2])
