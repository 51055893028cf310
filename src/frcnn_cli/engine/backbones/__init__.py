"""ImageNet networks cut at stride 16: what Fast R-CNN puts in front of RoI pooling.

One file a network; `find_backbone` knows them by name, and torchvision's besides.
"""

from frcnn_cli.engine.backbones.base import Backbone, Pretrained
from frcnn_cli.engine.backbones.find import BACKBONES, find_backbone
from frcnn_cli.engine.backbones.torchvision_networks import PREFIX
from frcnn_cli.engine.backbones.weights import load_pretrained

__all__ = [
    "BACKBONES",
    "PREFIX",
    "Backbone",
    "Pretrained",
    "find_backbone",
    "load_pretrained",
]
