"""The paper's experiments by name: presets, and variants that can be applied to any preset."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from frcnn_cli.engine.network.backbones.find import find_defaults
from frcnn_cli.engine.settings import (
    Classifier,
    DetectSettings,
    Experiment,
    PrecisionChoice,
    Preprocessing,
    TrainSettings,
)
from frcnn_cli.engine.settings.fields import values_of
from frcnn_cli.engine.settings.network import usual_threshold
from frcnn_cli.engine.settings.overrides import Override
from frcnn_cli.engine.settings.svm import SVM_OBJECTS
from frcnn_cli.engine.settings.training import CASCADE_IOU, RANKED_ROIS
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.suggestions import did_you_mean

# The single scale of the paper, and its limit for the longer side.
SCALE, MAX_SIZE = 600, 1000
MULTISCALE, MULTISCALE_MAX_SIZE = (480, 576, 688, 864, 1200), 2000
# More than the dense boxes per image (about 45,000), which have no order.
DENSE_BOXES = 50_000
# The first proposals of each image, which all take part in a step of training from image labels.
WEAK_PROPOSALS = 1000
# The backbone of training from image labels, unless a preset or another one is chosen: all its
# layers have ImageNet weights.
WEAK_BACKBONE = "efficientnet_lite0_c5"
WEAK_BACKBONES = (WEAK_BACKBONE, "efficientnet_lite2_c5")


@dataclass(frozen=True)
class Preset:
    """A preset: a backbone, trained as in the paper or with the backbone's own defaults."""

    name: str
    summary: str
    backbone: str
    as_the_paper: bool


@dataclass(frozen=True)
class Variant:
    """A variant. changes: from the preset's experiment to new values by the path of their field."""

    name: str
    summary: str
    changes: Callable[[Experiment], dict[str, Any]]


Named = TypeVar("Named", Preset, Variant)


def _multiscale(base: Experiment) -> dict[str, Any]:
    """The paper's five scales, in proportion to the scale of the base."""
    ratio = base.preprocessing.scale / SCALE
    scales = tuple(round(scale * ratio) for scale in MULTISCALE)
    return {
        "sampling.scales": scales,
        "detect.scales": scales,
        "preprocessing.max_size": round(MULTISCALE_MAX_SIZE * ratio),
    }


def _svm(base: Experiment) -> dict[str, Any]:
    """SVMs. Training as in the paper, by the default settings, keeps R-CNN's constants."""
    changes = {"train.classifier": "svm", "train.cascade_iou": 0.0}
    if base.train == TrainSettings(precision=base.train.precision):
        return changes
    return changes | {"svm.objects": SVM_OBJECTS}


def _dense(source: str) -> Callable[[Experiment], dict[str, Any]]:
    return lambda _: {
        "proposals.source": source,
        "train.proposals": DENSE_BOXES,
        "detect.proposals": DENSE_BOXES,
    }


def _weak(classifier: Classifier, nms_iou: float) -> Callable[[Experiment], dict[str, Any]]:
    """Training from image labels; the IoU of suppression is that of the paper.

    With WEAK_BACKBONES, proposals vote: fc6 reads a mean over cells, so a part of an object has as
    high a score as the whole.
    """
    threshold = usual_threshold(classifier)
    return lambda base: {
        "train.classifier": classifier,
        "train.box_training": "none",
        "train.cascade_iou": 0.0,
        "train.ranked_rois": 0,
        "train.proposals": WEAK_PROPOSALS,
        "detect.proposals": WEAK_PROPOSALS,  # WSDDN's scores depend on the number of RoIs
        "detect.box_regression": False,
        "weak.voting": base.backbone in WEAK_BACKBONES,
        "detect.nms_iou": nms_iou,
        "detect.score_threshold": threshold,
    }


PRESETS = (
    Preset("lite", "small enough to train on a laptop", "efficientnet_lite2", as_the_paper=False),
    Preset("paper-s", "the paper's S, CaffeNet", "caffenet", as_the_paper=True),
    Preset("paper-m", "the paper's M, VGG_CNN_M_1024", "vgg_cnn_m_1024", as_the_paper=True),
    Preset("paper-l", "the paper's L, VGG16", "vgg16", as_the_paper=True),
)
VARIANTS = (
    Variant("multiscale", "five scales in training and at test (section 5.2)", _multiscale),
    Variant(
        "no-bbox-reg",
        "class scores only; detections keep the boxes of their proposals (5.1)",
        lambda _: {
            "train.box_training": "none",
            "train.cascade_iou": 0.0,
            "detect.box_regression": False,
        },
    ),
    Variant(
        "stagewise",
        "the box layer trained after the rest (5.1)",
        lambda _: {
            "train.box_training": "stagewise",
            "train.cascade_iou": 0.0,
            "train.averaging": 0.0,
        },
    ),
    Variant(
        "fc-only",
        "convolutions frozen, as in SPPnet (4.5)",
        lambda _: {"train.frozen": "features"},
    ),
    Variant(
        "svm",
        "one SVM per class on fc7 instead of softmax (5.4)",
        _svm,
    ),
    Variant(
        "cascade",
        "a second head on the boxes of the first (Cascade R-CNN)",
        lambda _: {"train.cascade_iou": CASCADE_IOU},
    ),
    Variant(
        "ranked",
        "a small layer that orders the proposals; the heads process the best 300",
        lambda _: {"train.ranked_rois": RANKED_ROIS},
    ),
    Variant(
        "one-head",
        "one head for all proposals, without a ranker (2.1)",
        lambda _: {"train.cascade_iou": 0.0, "train.ranked_rois": 0},
    ),
    Variant(
        "wsddn",
        "trained from image labels, without boxes (WSDDN)",
        _weak("wsddn", 0.4),
    ),
    Variant(
        "oicr",
        "trained from image labels, with refined classifiers (OICR)",
        _weak("oicr", 0.3),
    ),
    Variant("dense", "dense boxes instead of selective search (5.5)", _dense("dense")),
    Variant(
        "dense-beside",
        "dense boxes in addition to selective search (5.5)",
        _dense("selective-search+dense"),
    ),
)


def base_experiment(
    preset: str | None, backbone: str | None = None, own: Preprocessing | None = None
) -> Experiment:
    """The experiment of a preset, before variants and other changes.

    preset: None is lite if `backbone` is None too, and otherwise the backbone's own defaults.
    backbone: replaces the preset's backbone. own: preprocessing of a detector to start from, which
    replaces the backbone's. Raises MisuseError for unknown names.
    """
    base = _find(preset or PRESETS[0].name, PRESETS, "preset")
    network = find_defaults(backbone or base.backbone)
    preprocessing = own or network.preprocessing
    train, detect = network.train, network.detect
    if base.as_the_paper:
        preprocessing = replace(preprocessing, scale=SCALE, max_size=MAX_SIZE)
        if own is None:
            preprocessing = replace(preprocessing, resize="float32")
        train, detect = TrainSettings(), DetectSettings()
    elif preset is not None:
        named = find_defaults(base.backbone)
        sizes = named.preprocessing
        preprocessing = replace(preprocessing, scale=sizes.scale, max_size=sizes.max_size)
        train, detect = named.train, named.detect
    precision: PrecisionChoice = "float32" if base.as_the_paper else "auto"
    if own is not None and train.sampling.scales:
        ratio = preprocessing.scale / max(train.sampling.scales)
        scales = tuple(round(scale * ratio) for scale in train.sampling.scales)
        train = replace(train, sampling=replace(train.sampling, scales=scales))
    return Experiment(
        backbone=network.name,
        preprocessing=preprocessing,
        train=replace(train, precision=precision),
        detect=detect,
    )


def base_name(preset: str | None, backbone: str) -> str:
    """The name of base_experiment(preset, backbone) for people, such as "preset lite"."""
    named = _find(preset or PRESETS[0].name, PRESETS, "preset")
    if backbone == named.backbone:
        return f"preset {named.name}"
    return f"backbone {backbone}" if preset is None else f"preset {preset}, backbone {backbone}"


def closest_preset(experiment: Experiment) -> str | None:
    """The preset from which the experiment differs in the fewest settings.

    None stands for the defaults of its backbone, as in base_experiment. Of several, the one with
    this backbone is returned.
    """
    values, backbone = values_of(experiment), experiment.backbone
    backbones: dict[str | None, str] = {None: backbone}
    backbones |= {preset.name: preset.backbone for preset in PRESETS}

    def differences(preset: str | None) -> tuple[int, bool]:
        base = values_of(base_experiment(preset, backbone))
        count = sum(base[path] != value for path, value in values.items())
        return count, backbones[preset] != backbone

    return min(backbones, key=differences)


def variant_changes(base: Experiment, names: Iterable[str]) -> list[Override]:
    """The changes that variants make to a base.

    Raises MisuseError for an unknown name, and if two variants contradict each other.
    """
    changed: dict[str, Override] = {}
    for name in dict.fromkeys(names):
        for path, value in _find(name, VARIANTS, "variant").changes(base).items():
            other = changed.setdefault(path, Override(path, value, f"Variant {name}"))
            if other.value != value:
                raise MisuseError(
                    f"{other.where} and variant {name} cannot be combined: "
                    f"they set {path} to {other.value} and to {value}."
                )
    return list(changed.values())


def _find(name: str, items: tuple[Named, ...], kind: str) -> Named:
    known = {item.name: item for item in items}
    if name in known:
        return known[name]
    raise MisuseError(f"Unknown {kind} '{name}'. {did_you_mean(name, known)}")
