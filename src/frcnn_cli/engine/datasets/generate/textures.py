"""Colours, patterns and backgrounds of the generated data set. Floats are float RGB in 0..1."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from frcnn_cli.engine.datasets.generate.shapes import Floats, irregular_blob

PATTERNS = ("plain", "stripes", "checks", "dots", "waves", "marble")


def colour(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> Floats:
    """A random colour (3,) with its saturation and value in the given ranges."""
    rgb = colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(*saturation), rng.uniform(*value))
    return np.array(rgb, np.float32)


def smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> Floats:
    """Noise (height, width) in 0..1 whose features are about 1/cells of the width."""
    grid = rng.uniform(0, 255, (max(2, cells * height // width), max(2, cells))).astype(np.uint8)
    enlarged = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(enlarged, np.float32) / 255


def textured(rng: np.random.Generator, size: int, base: Floats) -> Floats:
    """A (size, size, 3) patch in a random pattern of `base` and a lighter or darker relative."""
    partner = np.clip(base * rng.uniform(0.55, 0.8) + rng.uniform(-0.06, 0.06, 3), 0, 1)
    if rng.uniform() < 0.4:
        partner = np.clip(base + (1 - base) * rng.uniform(0.3, 0.6), 0, 1)
    share = _pattern(rng, str(rng.choice(PATTERNS)), size)[..., None]
    patch = base * (1 - share) + partner * share
    return np.clip(patch * _light(rng, size)[..., None], 0, 1).astype(np.float32)


def background(rng: np.random.Generator, height: int, width: int) -> Floats:
    """A muted, uneven and cluttered backdrop (height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    direction = rng.uniform(0, 2 * np.pi)
    slope = (x / width - 0.5) * np.cos(direction) + (y / height - 0.5) * np.sin(direction) + 0.5
    near, far = (colour(rng, (0.08, 0.4), (0.25, 0.9)) for _ in range(2))
    pixels = near + (far - near) * np.clip(slope, 0, 1)[..., None]
    for cells, strength in ((4, 0.25), (12, 0.14), (40, 0.08)):
        pixels = pixels + strength * (smooth_noise(rng, height, width, cells)[..., None] - 0.5)
    pixels = np.clip(pixels, 0, 1).astype(np.float32)
    for _ in range(rng.integers(5, 12)):
        _add_clutter(rng, pixels)
    # Out of focus a little, as a backdrop is.
    blurred = Image.fromarray((pixels * 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(rng.uniform(0.4, 1.4))
    )
    return np.asarray(blurred, np.float32) / 255


def blend(canvas: Floats, patch: Floats, mask: Floats, left: int, top: int) -> None:
    """Lay `patch` (h, w, 3) over `canvas` in place where `mask` (h, w) is 1, cut at the border."""
    height, width = canvas.shape[:2]
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + mask.shape[1], width), min(top + mask.shape[0], height)
    if x1 >= x2 or y1 >= y2:
        return
    inside = np.s_[y1 - top : y2 - top, x1 - left : x2 - left]
    share = mask[inside][..., None]
    canvas[y1:y2, x1:x2] = canvas[y1:y2, x1:x2] * (1 - share) + patch[inside] * share


def _pattern(rng: np.random.Generator, name: str, size: int) -> Floats:
    """How much of the second colour each pixel takes, (size, size) in 0..1."""
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    period = rng.uniform(0.12, 0.3) * size
    share: NDArray[Any]
    if name == "stripes":
        share = np.sin(2 * np.pi * u / period) > 0
    elif name == "checks":
        share = (np.sin(2 * np.pi * u / period) > 0) ^ (np.sin(2 * np.pi * v / period) > 0)
    elif name == "dots":
        share = np.cos(2 * np.pi * u / period) + np.cos(2 * np.pi * v / period) > 0.8
    elif name == "waves":
        share = np.sin(2 * np.pi * u / period + 2 * np.sin(2 * np.pi * v / (2 * period))) > 0
    elif name == "marble":
        share = smooth_noise(rng, size, size, 5)
    else:
        share = np.zeros((size, size))
    amount: Floats = share.astype(np.float32)
    return amount


def _light(rng: np.random.Generator, size: int) -> Floats:
    """Shading from one side, about 0.75 to 1.15."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    light: Floats = 0.95 + 0.28 * (x * np.cos(angle) + y * np.sin(angle))
    return light


def _add_clutter(rng: np.random.Generator, pixels: Floats) -> None:
    """One irregular piece, of a muted colour and half seen through."""
    height, width = pixels.shape[:2]
    size = int(rng.uniform(0.1, 0.5) * height)
    mask = irregular_blob(size, rng.uniform(0.3, 1.0, rng.integers(5, 10)))
    patch = textured(rng, size, colour(rng, (0.05, 0.45), (0.2, 0.9)))
    left = int(rng.integers(-size // 2, width - size // 2))
    top = int(rng.integers(-size // 2, height - size // 2))
    blend(pixels, patch, mask * np.float32(rng.uniform(0.3, 0.75)), left, top)
