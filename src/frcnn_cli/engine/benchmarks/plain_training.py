"""Training as one writes it from parts: the loop that `frcnn bench train` measures against.

Images are decoded, mirrored, matched and sampled between the steps, tensors are NCHW and
float32, RoI pooling is torchvision's, layers and optimizer are torch's as they come.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from frcnn_cli.engine.boxes import flip_boxes
from frcnn_cli.engine.network.layers.depthwise import DepthwiseConv2d
from frcnn_cli.engine.network.layers.dropout import ImageRows, RowDropout
from frcnn_cli.engine.network.layers.relu6 import InPlaceReLU6
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import image_tensor
from frcnn_cli.engine.records import GroundTruth
from frcnn_cli.engine.seeds import generator_for
from frcnn_cli.engine.training.image_order import epoch_shares
from frcnn_cli.engine.training.minibatches import Minibatch
from frcnn_cli.engine.training.run import Run
from frcnn_cli.engine.training.sampling import match_candidates, sample_rois
from frcnn_proposals.images import read_image


class PlainTraining:
    """The same network on the same images and RoIs as the run's, a step a call."""

    def __init__(self, model: FastRCNN, run: Run) -> None:
        self.model = model.to(memory_format=torch.contiguous_format).train()
        _use_layers_of_torch(self.model)
        self.run = run
        schedule = run.settings.schedule
        parameters = [each for each in self.model.parameters() if each.requires_grad]
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
        """One iteration; returns its loss."""
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
        epoch, place = divmod(self.iteration, -(-len(run.dataset) // sampling.images))
        (share,) = epoch_shares(run.dataset, sampling, run.settings.seed, epoch)[place]
        self.iteration += 1
        images, rois, labels, targets, rows = [], [], [], [], []
        for place, index in enumerate(share.images):
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
            generator.integers(1)  # our way draws a scale here
            images.append(tensor)
            boxes = torch.from_numpy(sample.boxes * np.float32(factor))
            rois.append(torch.cat([torch.full((len(boxes), 1), float(place)), boxes], 1))
            labels.append(torch.from_numpy(sample.labels))
            targets.append(torch.from_numpy(sample.targets))
            rows.append(ImageRows(len(boxes), int(generator.integers(2**63))))
        return Minibatch(
            _padded(images), torch.cat(rois), torch.cat(labels), torch.cat(targets), (),
            rows=tuple(rows),
        )  # fmt: skip


def _use_layers_of_torch(module: nn.Module) -> None:
    """Put torch's own layers, of the same parameters, in the place of ours."""
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
