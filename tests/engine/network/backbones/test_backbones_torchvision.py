"""torchvision's networks, cut at stride 16."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn

from frcnn_cli.engine.models.presets import base_experiment
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.backbones.torchvision_networks import network_names
from frcnn_proposals.errors import MisuseError

# Channels of the last map of stride 16, from the papers of these networks.
CHANNELS = {
    "resnet18": 256,
    "resnet50": 1024,
    "vgg16": 512,
    "alexnet": 256,
    "mobilenet_v2": 96,
    "mobilenet_v3_large": 112,
    "densenet121": 512,
    "convnext_tiny": 384,
    "efficientnet_b0": 112,
    "regnet_y_400mf": 208,
    "googlenet": 832,
    "inception_v3": 768,
    "shufflenet_v2_x1_0": 232,
    "squeezenet1_1": 512,
    "mnasnet0_5": 48,
}


@pytest.mark.parametrize("name", CHANNELS)
def test_the_map_has_stride_16_and_the_channels_of_its_block(name: str) -> None:
    backbone = find_backbone(f"torchvision:{name}")
    assert backbone.channels == CHANNELS[name]
    with torch.device("meta"):
        features = backbone.build()
        small, large = (
            features(torch.empty(1, 3, *size)).shape for size in ((320, 480), (480, 800))
        )
    assert small[1] == large[1] == CHANNELS[name]
    assert (large[2] - small[2], large[3] - small[3]) == (160 / 16, 320 / 16)
    assert abs(small[2] - 20) <= 2
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in features.modules())


def randomised(name: str) -> nn.Module:
    """A classifier whose batch norms have random statistics and gains."""
    torch.manual_seed(1)
    network: nn.Module = torchvision.models.get_model(name, weights=None).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.2, 0.2)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.5, 0.5)
    return network


def output_within(network: nn.Module, path: str, image: Tensor) -> Tensor:
    found: list[Tensor] = []
    handle = network.get_submodule(path).register_forward_hook(
        lambda module, inputs, output: found.append(output)
    )
    network(image)
    handle.remove()
    return found[0]


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("resnet18", "layer3"),
        ("mobilenet_v3_large", "features.12"),
        ("convnext_tiny", "features.6.0"),
        ("shufflenet_v2_x0_5", "stage3"),
        ("squeezenet1_1", "features.12"),
        ("regnet_y_400mf", "trunk_output.block3"),
        ("efficientnet_b0", "features.5"),
        ("densenet121", "features.transition3.conv"),
    ],
)
@torch.inference_mode()
def test_the_cut_computes_the_same_map_as_the_whole_network(name: str, last: str) -> None:
    network = randomised(name)
    backbone = find_backbone(f"torchvision:{name}")
    features = backbone.build()
    features.load_state_dict(backbone.read(network.state_dict()).features)
    image = torch.randn(2, 3, 64, 96)
    expected = output_within(network, last, image)
    assert torch.allclose(features.eval()(image), expected, rtol=1e-4, atol=1e-5)
    # Training uses ImageNet's statistics too.
    assert torch.allclose(features.train()(image), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("vgg16", {"features.0", "features.2", "features.5", "features.7"}),  # as in the paper
        ("alexnet", {"features.0"}),
        ("resnet50", {"conv1"}),
        ("mobilenet_v3_large", {"features.0.0", "features.1.block.0.0", "features.1.block.1.0",
                                "features.2.block.0.0", "features.2.block.1.0",
                                "features.2.block.2.0"}),
    ],
)  # fmt: skip
def test_layers_before_the_first_map_of_stride_4_are_frozen(name: str, layers: set[str]) -> None:
    backbone = find_backbone(f"torchvision:{name}")
    with torch.device("meta"):
        parameters = [name for name, _ in backbone.build().named_parameters()]
    frozen = {p.rsplit(".", 1)[0] for p in parameters if p.startswith(backbone.frozen)}
    assert frozen == layers


@pytest.mark.parametrize("name", ["vit_b_16", "swin_t", "swin_v2_t", "maxvit_t"])
def test_the_error_for_a_transformer_suggests_a_convolutional_network(name: str) -> None:
    with pytest.raises(MisuseError, match=rf"torchvision:{name} cannot.*\n.*torchvision:resnet50"):
        find_backbone(f"torchvision:{name}")


def test_preprocessing_is_taken_from_the_weights() -> None:
    preprocessing = find_backbone("torchvision:resnet18").preprocessing
    assert preprocessing.mean == (0.485, 0.456, 0.406)
    assert (preprocessing.scale, preprocessing.max_size) == (600, 1000)


@pytest.mark.long
@pytest.mark.parametrize("name", network_names())
def test_every_network_is_a_backbone_or_is_rejected(name: str) -> None:
    try:
        backbone = find_backbone(f"torchvision:{name}")
    except MisuseError:
        assert name.startswith(("vit_", "swin_", "maxvit_"))
        return
    with torch.device("meta"):
        shape = backbone.build()(torch.empty(1, 3, 320, 480)).shape
    assert shape[1] == backbone.channels
    assert abs(shape[2] - 20) <= 2


def test_a_run_starts_with_the_schedule_of_the_backbone() -> None:
    """Layers from ImageNet learn at a tenth of this rate, which is the paper's."""
    experiment = base_experiment(None, backbone="torchvision:resnet18")
    assert experiment.train.schedule.learning_rate == 0.01
    assert experiment.train.schedule.warmup == 200
