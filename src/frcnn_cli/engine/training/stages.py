"""Training stages: which layers learn, from which loss, and when (paper, section 5.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.losses import LossWeights
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import TrainSettings

# The layers that a stage trains: all, all but the box layer, or only the box layer.
Trained = Literal["all", "all but boxes", "boxes"]


@dataclass(frozen=True)
class Stage:
    """The iterations from `start` up to, but not including, `end`; the same layers learn."""

    start: int
    end: int
    trained: Trained
    weights: LossWeights


def stages(settings: TrainSettings) -> tuple[Stage, ...]:
    """The stages of a run; each runs the complete schedule from its first learning rate."""
    length, boxes = settings.schedule.iterations, settings.box_weight
    # An image's RoIs for the ranker have together the weight of its RoIs for the heads.
    sampling, ranked = settings.sampling, settings.ranked_rois
    rois = sampling.rois_per_image if sampling.strategy == "hierarchical" else 1
    objectness = rois / ranked if ranked else 0.0
    multi_task = Stage(0, length, "all", LossWeights(1.0, boxes, objectness))
    classes_only = Stage(0, length, "all but boxes", LossWeights(1.0, 0.0, objectness))
    boxes_after = Stage(length, 2 * length, "boxes", LossWeights(0.0, boxes))
    return {
        "multi-task": (multi_task,),
        "none": (classes_only,),
        "stagewise": (classes_only, boxes_after),
    }[settings.box_training]


def set_trainable(model: FastRCNN, stage: Stage, settings: TrainSettings) -> None:
    """Compute gradients only for the parameters that the stage trains.

    So no backward pass is computed through feature layers before the first that learns.
    """
    fixed = _fixed_features(model, settings)
    unused = () if model.weak is None else ("score.", "box.")
    for name, parameter in model.named_parameters():
        of_boxes = name.startswith("box.")
        is_trained = stage.trained == "all" or of_boxes == (stage.trained == "boxes")
        is_used = name not in fixed and not name.startswith(unused)
        parameter.requires_grad_(is_trained and is_used)


def _fixed_features(model: FastRCNN, settings: TrainSettings) -> tuple[str, ...]:
    """Names of the feature layers' parameters that no stage trains.

    Layers that a backbone adds to its ImageNet network start from random weights and always
    learn.
    """
    if settings.frozen == "none":
        return ()
    backbone = find_backbone(model.architecture.backbone)
    names = tuple(name for name, _ in model.features.named_parameters())
    if settings.frozen == "features":
        fixed = tuple(name for name in names if not name.startswith(backbone.new_layers))
    else:
        early = backbone.frozen if model.architecture.pretrained else ()
        fixed = tuple(name for name in names if name.startswith(early))
    return tuple(f"features.{name}" for name in fixed)
