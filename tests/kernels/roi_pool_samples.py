"""Inputs that all tests of RoI pooling share.

Values are distinct, also in 16 bits, because equal values make the gradient of a maximum ambiguous.
Some coordinates are on .5 after scaling; some RoIs are empty, inverted, or outside the map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by the size of an element
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Sample:
    """Arguments of roi_pool; the features are generated in the requested type."""

    name: str
    shape: tuple[int, int, int, int]
    rois: tuple[tuple[float, ...], ...]
    output_size: tuple[int, int]
    spatial_scale: float
    channels_last: bool = False

    def features(self, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Tensor:
        values = distinct_values(self.shape).to(device, dtype)
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return values.contiguous(memory_format=layout)

    def roi_tensor(self, device: str = "cpu") -> Tensor:
        return torch.tensor(self.rois, dtype=torch.float32, device=device).reshape(-1, 5)


def distinct_values(shape: tuple[int, ...]) -> Tensor:
    """Values that are distinct within each plane of up to 2000 cells, also in 16-bit types."""
    generator = torch.Generator().manual_seed(0)
    planes = torch.Size(shape[:2]).numel()
    cells = shape[2] * shape[3]
    # bfloat16 numbers are 2^-8 apart relative to their size, so values are created by their bits.
    bits = torch.rand(planes, cells, generator=generator).argsort(dim=1)
    positive = (0x3F80 + bits // 2).to(torch.int16).view(torch.bfloat16).float() / 32
    return torch.where(bits % 2 == 0, positive, -positive).reshape(shape)


HALVES = tuple(  # every corner is on .5 at a scale of 1/16
    (0.0, 8.0 + 16 * a, 8.0 + 16 * b, 24.0 + 16 * (a + c), 40.0 + 16 * b)
    for a, b, c in ((0, 0, 0), (1, 2, 3), (4, 1, 5), (2, 3, 0))
)
ODD = (
    (0, 0, 0, 159, 111),  # the whole map
    (1, 33.3, 20.1, 90.7, 81.9),
    (0, 50, 50, 50, 50),  # one cell
    (1, 90, 70, 20, 10),  # inverted
    (0, -60, -40, 30, 20),  # partly outside
    (1, 120, 90, 400, 300),
    (0, 500, 500, 700, 700),  # outside
    (1, -700, -700, -500, -500),
    (1, 0, 0, 1e30, 1e30),
    (0, -3e38, 40, 3e38, 60),
)

SAMPLES = (
    Sample("halves", (1, 3, 9, 13), HALVES, (7, 7), 1 / 16),
    Sample("odd", (2, 33, 7, 10), ODD, (7, 7), 1 / 16),
    Sample("odd channels last", (2, 64, 7, 10), ODD, (6, 6), 1 / 16, channels_last=True),
    Sample("odd grid", (2, 40, 7, 10), ODD, (3, 5), 1 / 16, channels_last=True),
    Sample("one bin", (2, 5, 7, 10), ODD, (1, 1), 1 / 16),
    Sample("fine grid", (2, 17, 7, 10), ODD, (20, 9), 1 / 16),
    Sample("no RoIs", (2, 4, 5, 6), (), (7, 7), 1 / 16),
    Sample("no channels", (2, 0, 5, 6), ODD, (2, 2), 1 / 16),
    Sample("no rows", (2, 4, 0, 6), ODD, (2, 2), 1 / 16),
    Sample("no columns", (2, 4, 6, 0), ODD, (2, 2), 1 / 16),
    Sample("scale up", (1, 3, 6, 6), ((0, 0.25, 0.75, 2.2, 2.9),), (2, 3), 2.0),
)

# Maps whose cells have numbers of 16 and of 32 bits, for outputs of 4 MB and more in every type.
STREAMED_MAPS = ((20, 20), (160, 240))
_TILE = 40


def streamed_features(size: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """Features of one image, 257 channels: values are distinct in each window of 40 x 40 cells."""
    tile = distinct_values((1, 257, _TILE, _TILE)).to(dtype)
    repeats = (1, 1, -(-size[0] // _TILE), -(-size[1] // _TILE))
    return tile.repeat(repeats)[:, :, : size[0], : size[1]].contiguous()


def streamed_rois(size: tuple[int, int]) -> Tensor:
    """175 RoIs in cells, within a map of this height and width, each of less than 40 x 40 cells."""
    generator = torch.Generator().manual_seed(2)
    longest = torch.tensor([min(side, _TILE) - 2.0 for side in reversed(size)])
    free = torch.tensor([float(side - 1) for side in reversed(size)]) - longest
    corners = torch.rand(175, 2, generator=generator) * free
    sides = torch.rand(175, 2, generator=generator) * longest
    return torch.cat([torch.zeros(175, 1), corners, corners + sides], dim=1)


_NAN, _INFINITY = float("nan"), float("inf")
_SMALL, _LARGE = 6e-8, 65504.0  # the smallest positive float16, and the largest
# Equal values with different bits, and values that no comparison finds.
MIXES = {
    "all": (0.0, -0.0, 1.0, -1.0, _SMALL, -_SMALL, _LARGE, -_LARGE, _INFINITY, -_INFINITY, _NAN),
    "zeros": (0.0, -0.0, -1.0),
    "few numbers": (-_LARGE, *(9 * (-_INFINITY, _NAN))),
}


def bits(values: Tensor) -> Tensor:
    """The bits of floating-point numbers as integers, which tell 0 from -0."""
    return values.contiguous().view(BITS[values.element_size()])


def mixed_features(mix: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Features of this shape, drawn from the values of a mix."""
    values = torch.tensor(MIXES[mix], dtype=torch.float64).to(dtype)
    return values[torch.randint(len(values), shape, generator=torch.Generator().manual_seed(4))]


def random_rois(count: int, shape: tuple[int, ...]) -> Tensor:
    """RoIs in cells, spread over the images of a map of this shape; some end outside of it."""
    generator = torch.Generator().manual_seed(count)
    extent = torch.tensor([float(shape[3]), float(shape[2])])
    corners, sides = (torch.rand(count, 2, generator=generator) * extent for _ in range(2))
    images = torch.arange(count).remainder(shape[0]).unsqueeze(1)
    return torch.cat([images, corners, corners + sides / 2], dim=1)


def gradients_of_single_cells(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients (3 * 1024, 64, 1, 1), their RoIs, and the sums of each three, (1, 64, 32, 32).

    There are three RoIs of each cell. Among the gradients of the first is every 16-bit number. The
    others have similar exponents, so that many sums are ties, overflow, or are small.
    """
    first = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype)
    generator = torch.Generator().manual_seed(6)
    shifts = torch.randint(0, 14, (2, len(first)), generator=generator)
    signs = torch.randint(-1, 2, shifts.shape, generator=generator)
    others = (first.float() * signs * 2.0 ** (-shifts)).to(dtype)
    gradients = torch.stack([first, *others]).reshape(3, 64, 1024)
    cells = torch.arange(1024.0)
    rois = torch.stack([0 * cells, *(2 * [cells % 32, cells // 32])], dim=1).repeat(3, 1)
    sums = torch.zeros(64, 1024)
    for values in gradients:
        sums += values.float()
    return (
        gradients.transpose(1, 2).reshape(3 * 1024, 64, 1, 1).contiguous(),
        rois,
        sums.to(dtype).reshape(1, 64, 32, 32),
    )
