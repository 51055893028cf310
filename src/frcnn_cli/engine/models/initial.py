"""Initial models for training, from ImageNet weights or from another detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from frcnn_cli.engine.models.file import describes_model
from frcnn_cli.engine.models.initial_detector import find_initial, untrained_parts
from frcnn_cli.engine.models.presets import WEAK_BACKBONE
from frcnn_cli.engine.models.store import is_model, load_model
from frcnn_cli.engine.network.backbones.base import Backbone
from frcnn_cli.engine.network.backbones.defaults import DEFAULTS, TORCHVISION
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.backbones.weights import load_pretrained, read_state
from frcnn_cli.engine.network.creation import create_model, with_ranks
from frcnn_cli.engine.network.layers.box_head import BoxHead
from frcnn_cli.engine.network.layers.weak_head import WeakHead
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import Experiment, TrainSettings
from frcnn_cli.engine.settings.network import SECOND
from frcnn_proposals.errors import MisuseError


def initial_model(
    experiment: Experiment, classes: tuple[str, ...], reporter: Reporter = SILENT
) -> FastRCNN:
    """The network that `experiment` starts from, for these classes.

    If experiment.init names a detector, classes of the same name keep their rows of the sibling
    layers. The rows of other classes are new, and so are all class scores of a detector with SVMs.
    Layers for image labels are those of the detector if it has them and the same classes.
    Raises InputError or MisuseError if weights cannot be read or do not fit.
    """
    if experiment.init:
        return _from_detector(experiment, classes)
    weights, seed = experiment.weights, experiment.train.seed
    path = Path(weights)
    if weights not in ("imagenet", "none") and is_model(path) and describes_model(path):
        raise MisuseError(
            f"{weights}: this is a detector, not ImageNet weights. Use --init {weights}."
        )
    backbone = find_backbone(experiment.backbone)
    train = experiment.train
    model = create_model(
        backbone,
        classes,
        weights,
        experiment.preprocessing,
        seed,
        cascade=train.cascade_iou > 0,
        ranker=train.ranked_rois > 0,
    )
    _warn_of_random_fc(experiment, backbone, reporter)
    return with_weak_head(model, train)


def _warn_of_random_fc(experiment: Experiment, backbone: Backbone, reporter: Reporter) -> None:
    """Warn if training from image labels starts from random fc6 and fc7."""
    if experiment.train.is_weak and not backbone.pretrained_fc:
        reporter.warn(
            f"fc6 and fc7 of {backbone.name} have no ImageNet weights. Training from image "
            "labels then does not find objects.\n"
            f"Use --backbone {WEAK_BACKBONE} (the default of this variant) or vgg16."
        )


def read_checkpoint(path: Path, name: str | None = None) -> tuple[Backbone, dict[str, Tensor]]:
    """Read a torchvision checkpoint; return its backbone and its state, which is checked to fit.

    No code in the file is run. name: a torchvision network such as resnet50, or one of our
    backbones with torchvision's weights (vgg16, alexnet); None takes it from the file name. Raises
    InputError if the file cannot be read or does not fit, MisuseError for an unknown name.
    """
    backbone = _named_backbone(path, name)
    load_pretrained(backbone, path)  # checks names and values
    create_model(backbone, ("object",), path)  # checks shapes
    return backbone, {key: value.contiguous() for key, value in read_state(path).items()}


def with_classes(model: FastRCNN, classes: tuple[str, ...], seed: int) -> FastRCNN:
    """Convert a detector to other classes.

    Background and classes of the same name keep their rows of both sibling layers of each head and
    their target statistics. The rows of new classes are initialised as in a new network.
    """
    known = model.architecture.classes
    if classes == known:
        return model
    torch.manual_seed(seed)
    changed = FastRCNN(replace(model.architecture, classes=classes))
    _copy_shared(model, changed)
    pairs = [(new, known.index(name)) for new, name in enumerate(classes) if name in known]
    for own, other in zip(model.heads, changed.heads, strict=True):
        other.draw_sibling_layers()
        _copy_rows(own, other, pairs)
    return changed.to(memory_format=torch.channels_last)


def with_parts(model: FastRCNN, cascade: bool, ranker: bool, seed: int) -> FastRCNN:
    """Add a second head or a ranker, with initial weights, if the detector has none.

    The layers of a new second head are those of the first, except its sibling layers.
    """
    architecture = model.architecture
    wanted = replace(
        architecture,
        cascade=architecture.cascade or cascade,
        ranker=architecture.ranker or ranker,
    )
    if wanted == architecture:
        return model
    if wanted.cascade and not architecture.cascade:
        ranks = {SECOND + name: rank for name, rank in architecture.ranks.items()}
        wanted = with_ranks(wanted, ranks)
    torch.manual_seed(seed)
    changed = FastRCNN(wanted)
    if changed.second is not None:
        changed.second.draw_sibling_layers()
        changed.second.fc6.load_state_dict(model.fc6.state_dict())
        changed.second.fc7.load_state_dict(model.fc7.state_dict())
    changed.load_state_dict(model.state_dict(), strict=False)
    return changed.to(memory_format=torch.channels_last)


def with_weak_head(
    model: FastRCNN, settings: TrainSettings, start: WeakHead | None = None
) -> FastRCNN:
    """Add the layers for image labels, if the settings train from them.

    start: layers whose weights are copied, as far as both have them.
    """
    if not settings.is_weak:
        return model
    model.architecture = replace(
        model.architecture,
        classifier=settings.classifier,
        refinements=settings.refinements,
        voting=settings.weak.voting,
        box_regression=False,
    )
    classes = len(model.architecture.classes)
    model.weak = WeakHead(model.architecture.hidden[1], classes, settings.refinements)
    model.weak.draw_layers()
    if start is not None:
        known = model.weak.state_dict().keys()
        state = {name: value for name, value in start.state_dict().items() if name in known}
        model.weak.load_state_dict(state, strict=False)
    return model


def _copy_shared(model: FastRCNN, changed: FastRCNN) -> None:
    """Copy all layers except those that depend on the classes."""
    siblings = tuple(
        prefix + layer for prefix in ("", SECOND) for layer in ("score.", "box.", "offset_")
    )
    state = {n: value for n, value in model.state_dict().items() if not n.startswith(siblings)}
    changed.load_state_dict(state, strict=False)


@torch.no_grad()
def _copy_rows(head: BoxHead, changed: BoxHead, pairs: Sequence[tuple[int, int]]) -> None:
    """Copy the background and the classes in `pairs` (new index, index in `head`)."""
    for new, old in [(-1, -1), *pairs]:  # -1 + 1 is label 0, the background
        changed.score.weight[new + 1] = head.score.weight[old + 1]
        changed.score.bias[new + 1] = head.score.bias[old + 1]
    if head.shares_boxes:
        changed.box.load_state_dict(head.box.state_dict())
    for new, old in pairs:
        if not head.shares_boxes:
            _rows(changed.box.weight)[new] = _rows(head.box.weight)[old]
            _rows(changed.box.bias)[new] = _rows(head.box.bias)[old]
        changed.offset_means[new] = head.offset_means[old]
        changed.offset_deviations[new] = head.offset_deviations[old]


@torch.no_grad()
def renormalise_boxes(model: FastRCNN, means: Tensor, deviations: Tensor) -> None:
    """Replace the target statistics of the model, (K, 4) each.

    The rows of a trained class, which has statistics, change so that they predict the same offsets.
    A class without statistics (means 0, deviations 1) keeps its initial rows.
    """
    learned = ((model.offset_means != 0) | (model.offset_deviations != 1)).any(dim=1)
    scale = model.offset_deviations / deviations
    shift = (model.offset_means - means) / deviations
    weight, bias = _rows(model.box.weight), _rows(model.box.bias)
    weight[learned] *= scale[learned, :, None]
    bias[learned] = bias[learned] * scale[learned] + shift[learned]
    model.offset_means.copy_(means)
    model.offset_deviations.copy_(deviations)


def _from_detector(experiment: Experiment, classes: tuple[str, ...]) -> FastRCNN:
    path = Path(experiment.init)
    model, _ = load_model(find_initial(experiment.init))
    architecture = model.architecture
    if architecture.backbone != experiment.backbone:
        raise MisuseError(
            f"{path}: this model has backbone {architecture.backbone}, not {experiment.backbone}."
        )
    if architecture.classifier == "svm":  # training cannot continue from margins instead of logits
        torch.manual_seed(experiment.train.seed)
        nn.init.normal_(model.score.weight, std=0.01)
        nn.init.zeros_(model.score.bias)
    train = experiment.train
    weak, model.weak = model.weak, None
    if train.is_weak:
        model.second, model.ranker = None, None
        ranks = {n: rank for n, rank in architecture.ranks.items() if not n.startswith(SECOND)}
        architecture = replace(architecture, cascade=False, ranker=False, ranks=ranks)
    for part, variant in untrained_parts(architecture, train).items():
        raise MisuseError(
            f"{path}: this model has a {part}, which would not be trained. Add --variant {variant}."
        )
    model.architecture = replace(
        architecture,
        preprocessing=experiment.preprocessing,
        classifier="softmax",
        refinements=0,
        voting=False,
        box_regression=True,  # training sets it
    )
    has_same_classes = classes == model.architecture.classes
    model = with_classes(model, classes, train.seed)
    model = with_parts(model, train.cascade_iou > 0, train.ranked_rois > 0, train.seed)
    torch.manual_seed(train.seed)
    return with_weak_head(model, train, weak if has_same_classes else None)


def _named_backbone(path: Path, name: str | None) -> Backbone:
    """The named network, ours before torchvision's; None takes the name from the file name."""
    # Other functions of this module work without torchvision.
    from frcnn_cli.engine.network.backbones.torchvision_networks import network_names

    if name is None:
        stem = path.name.split("-")[0].split(".")[0].lower()
        if stem not in network_names():
            raise MisuseError(
                f"{path}: the file name does not start with the name of a network.\n"
                "Name the network, for example --arch resnet50."
            )
        name = stem
    known = name in DEFAULTS or name.startswith(TORCHVISION)
    return find_backbone(name if known or name not in network_names() else TORCHVISION + name)


def _rows(parameter: Tensor) -> Tensor:
    """The box layer's weight (4 K, n) or bias (4 K) as (K, 4, n) or (K, 4), sharing memory."""
    return parameter.view(-1, 4, *parameter.shape[1:])
