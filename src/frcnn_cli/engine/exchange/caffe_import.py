"""Convert Caffe models released with the first implementation to models of this toolkit.

They differ from models trained here. The first box offsets belong to the background. The
normalisation of offsets is folded into bbox_pred, so means are 0 and deviations 1. Offsets are
relative to widths x2 - x1 (box coding `caffe`). Pixels are BGR minus their means. fc6_L and fc6_U
are the two parts of a truncated SVD, Sigma V^T and U. As in this toolkit, fc6 takes its inputs in
the order channels, rows, columns, and grouped convolutions have weights (outputs,
inputs / groups, ...).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from frcnn_cli.engine.datasets.readers.voc import VOC_CLASSES
from frcnn_cli.engine.exchange.caffe_file import NETWORKS, Array, read_caffemodel
from frcnn_cli.engine.network.backbones.base import Backbone
from frcnn_cli.engine.network.backbones.defaults import CAFFE_PIXELS
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.creation import rebuild_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.wording import counted

_IMAGENET_CLASSIFIER = "fc8"  # prefix of the layer name


@dataclass(frozen=True)
class CaffeModel:
    """Content of a .caffemodel.

    model: a detector, or None for an ImageNet network. weights: layers of an ImageNet network by
    Caffe's names (conv1.weight ...), as `--weights` reads them; empty for a detector. ignored:
    names of the skipped layers.
    """

    model: FastRCNN | None
    weights: dict[str, Tensor]
    ignored: tuple[str, ...]


def import_caffe_model(
    path: Path, network: str, classes: tuple[str, ...] | None = None
) -> CaffeModel:
    """Read a detector, compressed or not, or an ImageNet network; network: one of NETWORKS.

    classes: names of the columns after background; None takes VOC's 20. Raises InputError if the
    file is damaged or another network, MisuseError if the number of `classes` does not fit.
    """
    backbone = find_backbone(network)
    layers = CaffeLayers(path, network, read_caffemodel(path))
    state = {f"features.{name}": value for name, value in _features(backbone, layers).items()}
    if "cls_score" in layers.arrays:
        model = _detector(backbone, state, layers, classes)
        return CaffeModel(model, {}, layers.unused())
    if classes is not None:
        raise MisuseError(f"{path}: this is not a detector (it has no cls_score). Omit --classes.")
    weights = {name.removeprefix("features."): value for name, value in state.items()}
    if "fc6" in layers.arrays or "fc7" in layers.arrays:
        (fc6, fc7), inputs = backbone.hidden, _pooled(backbone)
        weights |= layers.take("fc6", (fc6, inputs)) | layers.take("fc7", (fc7, fc6))
    return CaffeModel(None, weights, layers.unused())


def _features(backbone: Backbone, layers: CaffeLayers) -> dict[str, Tensor]:
    with torch.device("meta"):
        shapes = backbone.build().state_dict()
    state: dict[str, Tensor] = {}
    for name, value in shapes.items():
        if name.endswith(".weight"):
            state |= layers.take(name.removesuffix(".weight"), tuple(value.shape))
    return state


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
    box_regression = "bbox_pred" in layers.arrays
    if box_regression:  # the first four columns are the background's
        box = layers.take("bbox_pred", (4 * (len(classes) + 1), inputs))
        state |= {f"box.{part}": box[f"bbox_pred.{part}"][4:] for part in ("weight", "bias")}
    else:  # trained without box regression (paper, 5.1)
        state["box.weight"] = torch.zeros(4 * len(classes), inputs)
        state["box.bias"] = torch.zeros(4 * len(classes))
    state["offset_means"] = torch.zeros(len(classes), 4)
    state["offset_deviations"] = torch.ones(len(classes), 4)
    architecture = Architecture(
        backbone=backbone.name,
        classes=classes,
        hidden=(sizes[0], sizes[1]),
        preprocessing=CAFFE_PIXELS,
        box_coding="caffe",
        ranks=ranks,
        box_regression=box_regression,
    )
    return rebuild_model(architecture, state)


def _class_names(path: Path, count: int, names: tuple[str, ...] | None) -> tuple[str, ...]:
    classes = counted(count, "object class", "object classes")
    if names is None and count != len(VOC_CLASSES):
        raise MisuseError(
            f"{path}: the file has {classes}, not VOC's "
            f"{len(VOC_CLASSES)}.\nName them with --classes, in the order of the columns."
        )
    names = VOC_CLASSES if names is None else names
    if len(names) != count:
        raise MisuseError(f"{path}: the file has {classes}, but --classes names {len(names)}.")
    return names


def _pooled(backbone: Backbone) -> int:
    return backbone.channels * prod(backbone.pooled)


class CaffeLayers:
    """Layers of the file `path` by name. network: the expected network, for messages."""

    def __init__(self, path: Path, network: str, arrays: dict[str, list[Array]]) -> None:
        self.path, self.network, self.arrays = path, network, arrays
        self.taken: set[str] = set()

    def fully_connected(self, name: str, inputs: int) -> dict[str, Tensor]:
        """fc6 or fc7 with this toolkit's names, in two parts if the file has NAME_L and NAME_U."""
        first, second = f"{name}_L", f"{name}_U"
        if first not in self.arrays:
            return self.take(name, (None, inputs))
        thin = self.take(first, (None, inputs), bias=False)[f"{first}.weight"]
        wide = self.take(second, (None, len(thin)))
        return {
            f"{name}.first.weight": thin,
            f"{name}.second.weight": wide[f"{second}.weight"],
            f"{name}.second.bias": wide[f"{second}.bias"],
        }

    def take(
        self, name: str, shape: tuple[int | None, ...], bias: bool = True
    ) -> dict[str, Tensor]:
        """A layer's weight and bias. shape: of the weight; None accepts any size."""
        if name not in self.arrays:
            first_names = ", ".join(list(self.arrays)[:4])
            raise self._unfit(f"it has no layer {name} (its layers are {first_names} ...)")
        arrays = self.arrays[name]
        if len(arrays) != 1 + bias:
            raise self._unfit(f"layer {name} has {len(arrays)} arrays, not {1 + bias}")
        self.taken.add(name)
        weight = self._tensor(name, arrays[0], shape)
        tensors = {f"{name}.weight": weight}
        if bias:
            tensors[f"{name}.bias"] = self._tensor(name, arrays[1], (len(weight),))
        return tensors

    def unused(self) -> tuple[str, ...]:
        """Names of unused layers. Raises InputError unless they are the ImageNet classifier."""
        unused = tuple(name for name in self.arrays if name not in self.taken)
        unknown = [name for name in unused if not name.startswith(_IMAGENET_CLASSIFIER)]
        if unknown:
            raise self._unfit(f"its layer {unknown[0]} is not part of this network")
        return unused

    def _tensor(self, name: str, array: Array, shape: tuple[int | None, ...]) -> Tensor:
        """An array as a tensor; older files pad shapes to four dimensions with leading ones."""
        sizes = array.shape
        while len(sizes) > len(shape) and sizes[0] == 1:
            sizes = sizes[1:]
        fits = len(sizes) == len(shape) and all(
            size > 0 and required in (None, size)
            for size, required in zip(sizes, shape, strict=True)
        )
        if not fits:
            expected = " x ".join("n" if size is None else str(size) for size in shape)
            found = " x ".join(map(str, sizes)) or "()"
            raise self._unfit(f"layer {name} has shape {found}, expected {expected}")
        if not np.isfinite(array).all():
            raise InputError(
                f"{self.path}: layer {name} contains values that are not finite.\n"
                "Its training diverged, or the file is damaged. Use another file."
            )
        return torch.from_numpy(array.reshape(sizes))

    def _unfit(self, reason: str) -> InputError:
        others = " or ".join(name for name in NETWORKS if name != self.network)
        return InputError(
            f"{self.path}: not a {self.network}, or not supported: {reason}.\n"
            f"If it is another network, use --arch {others}."
        )
