"""The first implementation's released models, in Caffe's files, as models of this toolkit.

They differ from what is trained here: background has a column of box offsets, the first; the
normalisation of offsets is folded into bbox_pred (so means are 0 and deviations 1); widths in
offsets are x2 - x1 (box coding `caffe`); pixels are BGR less their means. fc6_L and fc6_U are
the two parts of a truncated SVD, Sigma V^T and U. fc6 takes its inputs in the order channels,
rows, columns, and grouped convolutions have (outputs, inputs / groups, ...), both as here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from frcnn_cli.engine.datasets.readers.voc import VOC_CLASSES
from frcnn_cli.engine.exchange.caffe_file import read_caffemodel
from frcnn_cli.engine.exchange.caffe_layers import CaffeLayers
from frcnn_cli.engine.network.backbones.base import Backbone
from frcnn_cli.engine.network.backbones.defaults import CAFFE_PIXELS
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.model import FastRCNN, rebuild_model
from frcnn_cli.engine.settings import Architecture
from frcnn_proposals.errors import MisuseError


@dataclass(frozen=True)
class CaffeModel:
    """What a .caffemodel held.

    model: a detector, or None where the file is a network of ImageNet classes. weights: the
    latter's layers by Caffe's names (conv1.weight ...), as `--weights` reads them; empty beside
    a detector. ignored: layers that were left out.
    """

    model: FastRCNN | None
    weights: dict[str, Tensor]
    ignored: tuple[str, ...]


def import_caffe_model(
    path: Path, network: str, classes: tuple[str, ...] | None = None
) -> CaffeModel:
    """Read a detector, compressed or not, or an ImageNet network on one of NETWORKS.

    classes: names of the columns after the background's; None takes VOC's 20. Raises InputError
    where the file is damaged or is no such network, MisuseError where `classes` are not as many.
    """
    backbone = find_backbone(network)
    layers = CaffeLayers(path, network, read_caffemodel(path))
    state = {f"features.{name}": value for name, value in _features(backbone, layers).items()}
    if "cls_score" in layers.arrays:
        model = _detector(backbone, state, layers, classes)
        return CaffeModel(model, {}, layers.unused())
    if classes is not None:
        raise MisuseError(f"{path}: this is no detector (no cls_score), so it takes no --classes.")
    weights = {name.removeprefix("features."): value for name, value in state.items()}
    if "fc6" in layers.arrays or "fc7" in layers.arrays:
        (fc6, fc7), inputs = backbone.hidden, _pooled(backbone)
        weights |= layers.take("fc6", (fc6, inputs)) | layers.take("fc7", (fc7, fc6))
    return CaffeModel(None, weights, layers.unused())


def _features(backbone: Backbone, layers: CaffeLayers) -> dict[str, Tensor]:
    with torch.device("meta"):
        own = backbone.build().state_dict()
    shapes = {
        name.removesuffix(".weight"): tuple(value.shape)
        for name, value in own.items()
        if name.endswith(".weight")
    }
    return {k: v for name, shape in shapes.items() for k, v in layers.take(name, shape).items()}


def _detector(
    backbone: Backbone, state: dict[str, Tensor], layers: CaffeLayers, names: tuple[str, ...] | None
) -> FastRCNN:
    ranks: dict[str, int] = {}
    sizes = []
    inputs = _pooled(backbone)
    for name in ("fc6", "fc7"):
        layer = layers.fully_connected(name, inputs)
        if f"{name}.first.weight" in layer:
            ranks[name] = len(layer[f"{name}.first.weight"])
        state |= layer
        inputs = next(len(value) for key, value in layer.items() if key.endswith("bias"))
        sizes.append(inputs)
    score = layers.take("cls_score", (None, inputs))
    classes = _class_names(layers.path, len(score["cls_score.bias"]) - 1, names)
    state |= {f"score.{part}": score[f"cls_score.{part}"] for part in ("weight", "bias")}
    regresses = "bbox_pred" in layers.arrays
    state |= _boxes(layers, len(classes), inputs) if regresses else _no_boxes(len(classes), inputs)
    state["offset_means"] = torch.zeros(len(classes), 4)
    state["offset_deviations"] = torch.ones(len(classes), 4)
    architecture = Architecture(
        backbone=backbone.name,
        classes=classes,
        hidden=(sizes[0], sizes[1]),
        preprocessing=CAFFE_PIXELS,
        box_coding="caffe",
        ranks=ranks,
        box_regression=regresses,
    )
    return rebuild_model(architecture, state)


def _boxes(layers: CaffeLayers, classes: int, inputs: int) -> dict[str, Tensor]:
    """bbox_pred without the four columns of the background."""
    box = layers.take("bbox_pred", (4 * (classes + 1), inputs))
    return {f"box.{part}": box[f"bbox_pred.{part}"][4:] for part in ("weight", "bias")}


def _no_boxes(classes: int, inputs: int) -> dict[str, Tensor]:
    """A model trained without box regression (paper, 5.1) has no such layer."""
    return {
        "box.weight": torch.zeros(4 * classes, inputs),
        "box.bias": torch.zeros(4 * classes),
    }


def _class_names(path: Path, count: int, names: tuple[str, ...] | None) -> tuple[str, ...]:
    if names is None and count != len(VOC_CLASSES):
        raise MisuseError(
            f"{path}: it knows {count} classes besides background, not VOC's {len(VOC_CLASSES)}.\n"
            "Name them by --classes, in the order of its columns."
        )
    names = VOC_CLASSES if names is None else names
    if len(names) != count:
        raise MisuseError(
            f"{path}: it knows {count} classes besides background, and --classes names "
            f"{len(names)}."
        )
    return names


def _pooled(backbone: Backbone) -> int:
    return backbone.channels * prod(backbone.pooled)
