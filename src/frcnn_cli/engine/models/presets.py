"""The paper's experiments by name: presets, and variants that can be applied to any preset."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from frcnn_cli.engine.network.backbones.find import find_defaults
from frcnn_cli.engine.settings import (
    DetectSettings,
    Experiment,
    PrecisionChoice,
    Preprocessing,
    Sampling,
    Schedule,
    TrainSettings,
)
from frcnn_cli.engine.settings.overrides import Override
from frcnn_proposals.errors import MisuseError

# The single scale of the paper, and its limit for the longer side.
SCALE, MAX_SIZE = 600, 1000
MULTISCALE, MULTISCALE_MAX_SIZE = (480, 576, 688, 864, 1200), 2000
# More than the dense boxes per image (about 45,000), which have no order.
DENSE_BOXES = 50_000


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


def _dense(source: str) -> Callable[[Experiment], dict[str, Any]]:
    return lambda _: {
        "proposals.source": source,
        "train.proposals": DENSE_BOXES,
        "detect.proposals": DENSE_BOXES,
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
        lambda _: {"train.box_training": "none", "detect.box_regression": False},
    ),
    Variant(
        "stagewise",
        "the box layer trained after the rest (5.1)",
        lambda _: {"train.box_training": "stagewise"},
    ),
    Variant(
        "fc-only",
        "convolutions frozen, as in SPPnet (4.5)",
        lambda _: {"train.frozen": "features"},
    ),
    Variant(
        "svm",
        "one SVM per class on fc7 instead of softmax (5.4)",
        lambda _: {"train.classifier": "svm"},
    ),
    Variant(
        "cascade",
        "a second head on the boxes of the first (Cascade R-CNN)",
        lambda _: {"train.cascade_iou": 0.6},
    ),
    Variant(
        "ranked",
        "a small layer that orders the proposals; the heads process the best 300",
        lambda _: {"train.ranked_rois": 256},
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
    schedule, sampling, detect = network.schedule, network.sampling, network.detect
    if base.as_the_paper:
        preprocessing = replace(preprocessing, scale=SCALE, max_size=MAX_SIZE)
        if own is None:
            preprocessing = replace(preprocessing, resize="float32")
        schedule, sampling, detect = Schedule(), Sampling(), DetectSettings()
    elif preset is not None:
        named = find_defaults(base.backbone)
        sizes = named.preprocessing
        preprocessing = replace(preprocessing, scale=sizes.scale, max_size=sizes.max_size)
        schedule, sampling, detect = named.schedule, named.sampling, named.detect
    precision: PrecisionChoice = "float32" if base.as_the_paper else "auto"
    if own is not None and sampling.scales:
        ratio = preprocessing.scale / max(sampling.scales)
        sampling = replace(sampling, scales=tuple(round(s * ratio) for s in sampling.scales))
    return Experiment(
        backbone=network.name,
        preprocessing=preprocessing,
        train=TrainSettings(schedule=schedule, sampling=sampling, precision=precision),
        detect=detect,
    )


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
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(known)}."
    raise MisuseError(f"Unknown {kind} '{name}'. {hint}")
