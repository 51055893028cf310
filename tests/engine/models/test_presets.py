"""The paper's experiments by name, compared with the paper's numbers."""

import itertools

import pytest

from frcnn_cli.engine.models.presets import PRESETS, VARIANTS, base_experiment, variant_changes
from frcnn_cli.engine.settings import Experiment, Preprocessing
from frcnn_cli.engine.settings.network import Resize
from frcnn_cli.engine.settings.overrides import override
from frcnn_cli.engine.settings.svm import SVM_OBJECTS, SvmSettings
from frcnn_proposals.errors import MisuseError


def experiment(preset: str, *variants: str) -> Experiment:
    base = base_experiment(preset)
    return override(base, variant_changes(base, variants))


@pytest.mark.parametrize(
    ("preset", "backbone"),
    [("paper-s", "caffenet"), ("paper-m", "vgg_cnn_m_1024"), ("paper-l", "vgg16")],
)
def test_the_papers_presets(preset: str, backbone: str) -> None:
    """Sections 2.3 and 5: 30k iterations at 0.001 and 10k at 0.0001, scale 600, at most 1000."""
    found = experiment(preset)
    assert found.backbone == backbone
    assert (found.preprocessing.scale, found.preprocessing.max_size) == (600, 1000)
    schedule, sampling = found.train.schedule, found.train.sampling
    assert [schedule.rate_at(i) for i in (0, 29_999)] == [0.001, 0.001]
    assert [schedule.rate_at(i) for i in (30_000, 39_999)] == pytest.approx([0.0001, 0.0001])
    assert schedule.iterations == 40_000
    assert (schedule.momentum, schedule.weight_decay) == (0.9, 0.0005)
    assert (sampling.images, sampling.rois_per_image) == (2, 64)
    assert (sampling.foreground_fraction, sampling.foreground_iou) == (0.25, 0.5)
    assert sampling.background_iou == (0.1, 0.5)
    assert found.detect.nms_iou == 0.3


def test_lite_is_the_default() -> None:
    assert base_experiment(None) == base_experiment("lite")
    assert base_experiment(None).backbone == "efficientnet_lite2"


def test_the_papers_presets_resize_as_the_first_implementation() -> None:
    for preset in PRESETS:
        expected = "float32" if preset.as_the_paper else "uint8"
        assert base_experiment(preset.name).preprocessing.resize == expected
    assert base_experiment("paper-l", "efficientnet_lite0").preprocessing.resize == "float32"
    assert base_experiment("lite", "vgg16").preprocessing.resize == "uint8"


@pytest.mark.parametrize("preset", [None, *(preset.name for preset in PRESETS)])
@pytest.mark.parametrize("resize", ["uint8", "float32"])
def test_training_from_a_detector_keeps_its_resizing(preset: str | None, resize: Resize) -> None:
    own = Preprocessing(scale=320, max_size=500, resize=resize)
    assert base_experiment(preset, "caffenet", own).preprocessing.resize == resize


def test_five_scales_of_at_most_2000_and_in_proportion_for_lite() -> None:
    paper, lite = experiment("paper-l", "multiscale"), experiment("lite", "multiscale")
    assert paper.train.sampling.scales == paper.detect.scales == (480, 576, 688, 864, 1200)
    assert paper.preprocessing.max_size == 2000
    assert lite.detect.scales == (384, 461, 550, 691, 960)  # times 480 / 600
    assert lite.preprocessing.max_size == 1600


def test_each_variant_changes_the_setting_in_its_name() -> None:
    assert experiment("lite", "no-bbox-reg").train.box_training == "none"
    assert not experiment("lite", "no-bbox-reg").detect.box_regression
    assert experiment("lite", "stagewise").train.box_training == "stagewise"
    assert experiment("lite", "fc-only").train.frozen == "features"
    for name in ("svm", "wsddn", "oicr"):
        assert experiment("lite", name).train.classifier == name
    assert experiment("lite", "dense").proposals.source == "dense"
    assert experiment("lite", "dense").train.proposals > 45_000
    assert experiment("lite", "dense-beside").proposals.source == "selective-search+dense"


def test_svms_of_the_paper_have_the_constants_of_r_cnn() -> None:
    assert experiment("paper-l", "svm").train.svm == SvmSettings()
    assert experiment("lite", "svm").train.svm.objects == SVM_OBJECTS


@pytest.mark.parametrize("preset", [preset.name for preset in PRESETS])
def test_every_variant_changes_every_preset(preset: str) -> None:
    base = base_experiment(preset)
    included = {"cascade", "ranked"} if preset == "lite" else {"one-head"}
    for variant in VARIANTS:
        changed = override(base, variant_changes(base, [variant.name]))
        assert (changed == base) == (variant.name in included)


def test_only_lite_has_a_second_head_a_ranker_and_averaged_weights() -> None:
    for preset in PRESETS:
        train = base_experiment(preset.name, "vgg16").train
        more = (train.cascade_iou > 0, train.ranked_rois > 0, train.averaging > 0)
        assert more == (not preset.as_the_paper,) * 3
    assert experiment("lite", "one-head").train.cascade_iou == 0
    assert experiment("lite", "one-head").train.ranked_rois == 0


def test_variants_can_be_combined_unless_they_contradict() -> None:
    contradictions = {("no-bbox-reg", "stagewise"), ("dense", "dense-beside")}
    # The second head requires box regression trained together with a softmax.
    contradictions |= {(name, "cascade") for name in ("no-bbox-reg", "stagewise", "svm")}
    contradictions |= {(name, "one-head") for name in ("cascade", "ranked")}
    # Training from image labels has other classifiers, no boxes, and at most 1,000 proposals.
    for name in ("wsddn", "oicr"):
        others = ("stagewise", "svm", "cascade", "ranked")
        contradictions |= {(other, name) for other in others}
        contradictions |= {(name, other) for other in ("dense", "dense-beside")}
    contradictions.add(("wsddn", "oicr"))
    for pair in itertools.combinations([variant.name for variant in VARIANTS], 2):
        if pair in contradictions:
            with pytest.raises(MisuseError, match="cannot be combined"):
                experiment("lite", *pair)
        else:
            experiment("lite", *pair)


def test_another_backbone_has_its_own_scale_unless_a_preset_is_given() -> None:
    own, named = base_experiment(None, "vgg16"), base_experiment("lite", "vgg16")
    assert (own.preprocessing.scale, own.train.schedule.iterations) == (600, 40_000)
    assert (named.preprocessing.scale, named.train.schedule.iterations) == (480, 9_000)
    assert own.preprocessing.mean == named.preprocessing.mean
    lite_on_paper = base_experiment("paper-l", "efficientnet_lite0")
    assert lite_on_paper.preprocessing.mean == (127.0,) * 3
    assert lite_on_paper.preprocessing.scale == 600


def test_the_error_for_an_unknown_name_suggests_the_closest() -> None:
    with pytest.raises(MisuseError, match="Did you mean 'paper-l'"):
        base_experiment("papr-l")
    with pytest.raises(MisuseError, match="Did you mean 'multiscale'"):
        experiment("lite", "multi-scale")
