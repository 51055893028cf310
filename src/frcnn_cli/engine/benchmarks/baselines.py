"""Detection and training built from standard parts: the baselines of the benchmarks.

The detector runs the network in float32 with channels first on every proposal, with torchvision's
roi_pool and nms and a Python loop over the classes. The training loop decodes, flips, matches and
samples its images between the steps; it uses float32 tensors with channels first, torchvision's
RoI pooling, and torch's own layers and optimizer. Both take their weights from one of our models.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from frcnn_cli.engine.boxes import clip_boxes, decode_boxes, flip_boxes
from frcnn_cli.engine.network.layers.depthwise import DepthwiseConv2d
from frcnn_cli.engine.network.layers.dropout import ImageRows, RowDropout
from frcnn_cli.engine.network.layers.relu6 import InPlaceReLU6
from frcnn_cli.engine.network.model import FastRCNN, Outputs
from frcnn_cli.engine.network.transforms import batch_images, batch_rois, image_tensor
from frcnn_cli.engine.records import Detections, GroundTruth
from frcnn_cli.engine.seeds import generator_for
from frcnn_cli.engine.settings import DetectSettings
from frcnn_cli.engine.training.image_order import epoch_shares
from frcnn_cli.engine.training.minibatches import Minibatch
from frcnn_cli.engine.training.run import Run
from frcnn_cli.engine.training.sampling import match_candidates, sample_rois
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.images import read_image


class BaselineNetwork(nn.Module):
    """A copy of the layers of `model` in torch's default layout; same inputs and outputs."""

    def __init__(self, model: FastRCNN) -> None:
        super().__init__()
        self.pooled, self.stride = model.pooled, model.stride
        self.dropout, self.averaged = model.dropout, model.averaged
        self.features = copy.deepcopy(model.features).to(memory_format=torch.contiguous_format)
        self.fc6, self.fc7 = copy.deepcopy(model.fc6), copy.deepcopy(model.fc7)
        self.score, self.box = copy.deepcopy(model.score), copy.deepcopy(model.box)
        self.train(model.training)

    def forward(self, images: Tensor, rois: Tensor) -> Outputs:
        """images: (N, 3, H, W), contiguous. rois: (R, 5), image index and input pixels."""
        pooled = self.pool(self.features(images), rois)
        x = pooled.mean(dim=(2, 3)) if self.averaged else pooled.flatten(1)
        x = F.dropout(F.relu(self.fc6(x)), self.dropout, self.training)
        x = F.dropout(F.relu(self.fc7(x)), self.dropout, self.training)
        return Outputs(self.score(x), self.box(x))

    def pool(self, feature_map: Tensor, rois: Tensor) -> Tensor:
        """(N, C, h, w) and (R, 5) -> (R, C, pooled height, pooled width)."""
        pooled: Tensor = torchvision.ops.roi_pool(feature_map, rois, self.pooled, 1.0 / self.stride)
        return pooled


class BaselineDetector:
    """Detection with the baseline network."""

    def __init__(self, model: FastRCNN) -> None:
        self.network = BaselineNetwork(model).eval()
        self.model = model  # provides preprocessing and offset statistics

    @torch.inference_mode()
    def detect(self, image: Image, proposals: Proposals, settings: DetectSettings) -> Detections:
        """Detections in one RGB image (H, W, 3) uint8, by descending score."""
        scores, boxes = self.score_boxes(image, proposals.top(settings.proposals))
        best_scores, best_boxes, best_labels = [], [], []
        for label in range(1, scores.shape[1]):
            class_scores, rows = scores[:, label].sort(descending=True)
            rows = rows[class_scores >= (settings.score_threshold or 0.0)][: settings.max_per_class]
            candidates, candidate_scores = boxes[rows, label - 1], scores[rows, label]
            inclusive = candidates + candidates.new_tensor([0.0, 0.0, 1.0, 1.0])
            kept = torchvision.ops.nms(inclusive, candidate_scores, settings.nms_iou)
            best_scores.append(candidate_scores[kept])
            best_boxes.append(candidates[kept])
            best_labels.append(torch.full((len(kept),), label))
        ordered, order = torch.cat(best_scores).sort(descending=True)
        order = order[: settings.top_k]
        return Detections(
            torch.cat(best_boxes)[order].cpu().numpy(),
            ordered[: settings.top_k].cpu().numpy(),
            torch.cat(best_labels)[order.cpu()].numpy(),
        )

    @torch.inference_mode()
    def score_boxes(self, image: Image, proposals: Proposals) -> tuple[Tensor, Tensor]:
        """Probabilities (R, K + 1) and boxes (R, K, 4), clipped, in original pixels."""
        architecture = self.model.architecture
        tensor, factor = image_tensor(image, architecture.preprocessing)
        images, rois = batch_images([tensor]).contiguous(), batch_rois([proposals.boxes], [factor])
        device = self.model.offset_means.device
        outputs = self.network(images.to(device), rois.to(device))
        offsets = self.model.denormalise(outputs.offsets)
        given = torch.from_numpy(proposals.boxes).to(device)
        boxes = decode_boxes(given, offsets, architecture.box_coding)
        return torch.softmax(outputs.logits, dim=1), clip_boxes(boxes, *image.shape[:2])


class PlainTraining:
    """A plain training loop on the images and RoIs of `run`; each call of `step` is one step."""

    def __init__(self, model: FastRCNN, run: Run) -> None:
        self.model = model.to(memory_format=torch.contiguous_format).train()
        _use_layers_of_torch(self.model)
        self.run = run
        schedule = run.settings.schedule
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        rate, decay = schedule.learning_rate, schedule.weight_decay
        self.optimizer: torch.optim.Optimizer
        if schedule.optimizer == "adamw":
            self.optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
        else:
            self.optimizer = torch.optim.SGD(
                parameters, lr=rate, momentum=schedule.momentum, weight_decay=decay
            )
        self.iteration = 0

    def step(self) -> float:
        """Run one training step and return its loss."""
        batch = self._next_batch()
        model = self.model
        features = model.features(batch.images)
        pooled = torchvision.ops.roi_pool(features, batch.rois, model.pooled, 1 / model.stride)
        outputs = model.head(pooled, RowDropout(batch.rows, batch.images.device))
        targets = model.normalise(batch.targets, batch.labels)
        foreground = batch.labels > 0
        offsets = outputs.offsets.reshape(len(batch.labels), -1, 4)
        chosen = offsets[foreground, batch.labels[foreground] - 1]
        boxes = F.smooth_l1_loss(chosen, targets[foreground], reduction="sum")
        loss = F.cross_entropy(outputs.logits, batch.labels) + boxes / len(batch.labels)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.item()

    def _next_batch(self) -> Minibatch:
        run, sampling = self.run, self.run.settings.sampling
        epoch, batch_index = divmod(self.iteration, -(-len(run.dataset) // sampling.images))
        (share,) = epoch_shares(run.dataset, sampling, run.settings.seed, epoch)[batch_index]
        self.iteration += 1
        images, rois, labels, targets, rows = [], [], [], [], []
        for position, index in enumerate(share.images):
            record = run.dataset.images[index]
            generator = generator_for(run.settings.seed, epoch, record.image_id)
            image = read_image(record.path)
            proposals = run.proposals[record.image_id].top(run.settings.proposals).boxes
            truth = record.truth or GroundTruth()
            if generator.random() < 0.5:
                image, width = image[:, ::-1], image.shape[1]
                proposals = flip_boxes(proposals, width)
                truth = GroundTruth(
                    flip_boxes(truth.boxes, width), truth.labels, truth.difficult, truth.crowd
                )
            candidates = match_candidates(proposals, truth, sampling.foreground_iou)
            sample = sample_rois(candidates, share.quota, sampling, generator)
            tensor, factor = image_tensor(image, self.model.architecture.preprocessing)
            generator.integers(1)  # our training draws a scale at this point
            images.append(tensor)
            boxes = torch.from_numpy(sample.boxes * np.float32(factor))
            rois.append(torch.cat([torch.full((len(boxes), 1), float(position)), boxes], 1))
            labels.append(torch.from_numpy(sample.labels))
            targets.append(torch.from_numpy(sample.targets))
            rows.append(ImageRows(len(boxes), int(generator.integers(2**63))))
        return Minibatch(
            _padded(images), torch.cat(rois), torch.cat(labels), torch.cat(targets), (),
            rows=tuple(rows),
        )  # fmt: skip


def _use_layers_of_torch(module: nn.Module) -> None:
    """Replace our layers by torch's, with the same parameters."""
    for name, layer in module.named_children():
        if isinstance(layer, InPlaceReLU6):
            setattr(module, name, nn.ReLU6(inplace=True))
        elif isinstance(layer, DepthwiseConv2d):
            channels, (kernel, _) = layer.in_channels, layer.kernel_size
            stride, padding = layer.stride[0], kernel // 2
            plain = nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels)
            plain.weight, plain.bias = layer.weight, layer.bias
            setattr(module, name, plain)
        else:
            _use_layers_of_torch(layer)


def _padded(images: list[Tensor]) -> Tensor:
    height, width = (max(image.shape[side] for image in images) for side in (1, 2))
    batch = torch.zeros(len(images), 3, height, width)
    for target, image in zip(batch, images, strict=True):
        target[:, : image.shape[1], : image.shape[2]] = image
    return batch
