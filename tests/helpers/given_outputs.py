"""A network whose first head returns what a function computes from images and RoIs."""

from collections.abc import Callable

from torch import Tensor, nn

from frcnn_cli.engine.network.layers.box_head import HeadOutputs
from frcnn_cli.engine.network.model import FastRCNN


def with_first_head(model: FastRCNN, read: Callable[[Tensor, Tensor], HeadOutputs]) -> FastRCNN:
    """`model` with images as feature maps, and `read` (images, RoIs) as its only head."""
    model.features = nn.Identity()
    model.read = read  # type: ignore[method-assign,assignment]
    return model
