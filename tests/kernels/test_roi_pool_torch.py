"""RoI pooling within torch: registrations, gradients, compilation, export, autocast."""

from __future__ import annotations

import pytest
import torch
from cuda_emulator import not_emulated
from roi_pool_samples import DTYPES, ODD, SAMPLES, Sample
from torch import Tensor, nn

from frcnn_kernels import roi_pool

pytestmark = not_emulated
OPERATORS = torch.ops.frcnn
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@each_sample
def test_registrations_are_consistent(sample: Sample, dtype: torch.dtype, device: str) -> None:
    features, rois = sample.features(dtype, device), sample.roi_tensor(device)
    grid, scale = sample.output_size, sample.spatial_scale
    pooled, argmax = OPERATORS.roi_pool(features, rois, *grid, scale)
    backward_arguments = (pooled, rois, argmax, *sample.shape, sample.channels_last)
    check = torch.library.opcheck
    check(OPERATORS.roi_pool.default, (features.requires_grad_(), rois, *grid, scale))
    features = features.detach()
    check(OPERATORS.roi_pool_infer.default, (features, rois, *grid, scale))
    check(OPERATORS.roi_pool_out.default, (features, rois, scale), {"out": pooled.clone()})
    check(OPERATORS.roi_pool_backward.default, backward_arguments)


@each_sample
def test_gradcheck(sample: Sample, device: str) -> None:
    shape = (sample.shape[0], min(sample.shape[1], 2), *sample.shape[2:])
    features = Sample(**{**vars(sample), "shape": shape}).features(torch.float64, device)
    rois = sample.roi_tensor(device)
    torch.autograd.gradcheck(
        lambda x: roi_pool(x, rois, sample.output_size, sample.spatial_scale),
        features.requires_grad_(),
        eps=1e-6,
        fast_mode=True,
    )


def test_a_second_derivative_is_rejected(device: str) -> None:
    features = torch.randn(1, 2, 5, 5, requires_grad=True, device=device)
    rois = torch.tensor([[0, 0, 0, 4.0, 4.0]], device=device)
    pooled = roi_pool(features, rois, 2, 1.0)
    (gradient,) = torch.autograd.grad(pooled.square().sum(), features, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        gradient.sum().backward()


class Net(nn.Module):
    """A layer, RoI pooling and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8 * 9, 4)

    def forward(self, image: Tensor, rois: Tensor) -> Tensor:
        pooled = roi_pool(self.layer(image), rois, (3, 3), 1 / 16)
        return self.head(pooled.flatten(1))


@pytest.fixture
def net_and_inputs(device: str) -> tuple[Net, Tensor, Tensor]:
    torch.manual_seed(0)
    rois = torch.tensor(ODD, device=device)
    return Net().to(device), torch.randn(2, 3, 12, 14, device=device), rois


def test_compiles_as_one_graph(net_and_inputs: tuple[Net, Tensor, Tensor]) -> None:
    net, image, rois = net_and_inputs
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    expected = net(image, rois)
    torch.testing.assert_close(compiled(image, rois), expected)
    expected.sum().backward()
    gradient = net.layer.weight.grad.clone()
    net.zero_grad()
    compiled(image, rois).sum().backward()
    torch.testing.assert_close(net.layer.weight.grad, gradient)
    with torch.no_grad():
        torch.testing.assert_close(compiled(image, rois[:3]), net(image, rois[:3]))


@pytest.mark.long
def test_compiles_with_inductor(net_and_inputs: tuple[Net, Tensor, Tensor]) -> None:
    net, image, rois = net_and_inputs
    compiled = torch.compile(net, fullgraph=True)
    torch.testing.assert_close(compiled(image, rois), net(image, rois))


def test_exports_with_any_number_of_rois(net_and_inputs: tuple[Net, Tensor, Tensor]) -> None:
    net, image, rois = net_and_inputs
    shapes = ({}, {0: torch.export.Dim("rois")})
    exported = torch.export.export(net, (image, rois), dynamic_shapes=shapes)
    torch.testing.assert_close(exported.module()(image, rois[:4]), net(image, rois[:4]))


@pytest.mark.parametrize("strict", [False, True])
def test_exports_with_gradients_and_maps_of_any_size(
    strict: bool, net_and_inputs: tuple[Net, Tensor, Tensor]
) -> None:
    """Also across the limit at which the cells of a map need more than 16 bits."""
    net, image, rois = net_and_inputs
    sides = {dim: torch.export.Dim(name, min=4) for dim, name in ((2, "height"), (3, "width"))}
    shapes = (sides, {0: torch.export.Dim("rois")})
    exported = torch.export.export(net, (image, rois), dynamic_shapes=shapes, strict=strict)
    targets = [node.target for node in exported.graph.nodes]
    assert OPERATORS.roi_pool.default in targets  # not the operator without gradients
    large = torch.randn(2, 3, 202, 170, device=image.device)
    for images in (image, large):
        torch.testing.assert_close(exported.module()(images, rois), net(images, rois))


def test_autocast_keeps_the_features_type_and_full_rois(device: str) -> None:
    net = Net().to(device)
    rois = torch.tensor([[0, 0, 0, 100.3, 90.7]], device=device)
    image = torch.randn(1, 3, 12, 14, device=device)
    with torch.autocast(device, dtype=torch.bfloat16):
        features = net.layer(image)
        pooled = roi_pool(features, rois, 3, 1 / 16)
        direct = OPERATORS.roi_pool_infer(features, rois.bfloat16(), 3, 3, 1 / 16)
    assert pooled.dtype == direct.dtype == torch.bfloat16
    assert torch.equal(pooled, roi_pool(features.detach(), rois, 3, 1 / 16))


@pytest.mark.parametrize("rois_type", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("compiled", [False, True])
def test_autocast_widens_rois_of_16_bits(
    rois_type: torch.dtype, compiled: bool, device: str
) -> None:
    features = torch.randn(1, 3, 12, 14, device=device)
    rois = torch.tensor([[0, 0, 0, 100.3, 90.7]], device=device).to(rois_type)
    expected = roi_pool(features, rois.float(), 3, 1 / 16)
    pool = torch.compile(roi_pool, fullgraph=True, backend="aot_eager") if compiled else roi_pool
    with torch.autocast(device, dtype=torch.bfloat16):
        assert torch.equal(pool(features, rois, 3, 1 / 16), expected)
    with torch.autocast(device, enabled=False), pytest.raises(ValueError, match="must be float32"):
        roi_pool(features, rois, 3, 1 / 16)


def test_forward_mode_differentiation_is_an_error(device: str) -> None:
    features = torch.randn(1, 2, 5, 5, device=device)
    rois = torch.tensor([[0, 0, 0, 4.0, 4.0]], device=device)
    out = torch.zeros(1, 2, 2, 2, device=device)
    for arguments in ({}, {"out": out}):

        def pool(x: Tensor, arguments: dict[str, Tensor] = arguments) -> Tensor:
            return roi_pool(x, rois, 2, 1.0, **arguments)

        with pytest.raises(NotImplementedError, match="forward-mode"):
            torch.func.jvp(pool, (features,), (torch.ones_like(features),))
        with pytest.raises(NotImplementedError, match="forward-mode"):
            torch.func.jacfwd(pool)(features)
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(features, torch.ones_like(features))
            with pytest.raises(NotImplementedError, match="forward-mode"):
                pool(dual)
            # Features without a tangent are pooled as usual.
            assert torch.equal(pool(features), roi_pool(features, rois, 2, 1.0))


def test_out_is_written_in_a_compiled_graph_too(device: str) -> None:
    features = torch.randn(1, 4, 8, 8, device=device)
    rois = torch.tensor([[0, 0, 0, 100, 100.0]], device=device)

    def pool(out: Tensor) -> Tensor:
        return roi_pool(features, rois, 2, 1 / 16, out=out)

    out = torch.zeros(1, 4, 2, 2, device=device)
    torch.compile(pool, fullgraph=True, backend="aot_eager")(out)
    assert torch.equal(out, roi_pool(features, rois, 2, 1 / 16))
