"""Parts of generated images: shapes as soft-edged masks, colours, patterns, backgrounds.

SHAPES are the classes. Floats are masks or RGB colours, both in 0..1.
"""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Floats = NDArray[np.floating[Any]]

SHAPES = ("disc", "square", "triangle", "star", "ring", "cross")
PATTERNS = ("plain", "stripes", "checks", "dots", "waves", "marble")

_SUPERSAMPLING = 4
_RING_HOLE = 0.52  # radius of the hole, as a fraction of the radius
_CROSS_ARM = 0.36  # half the width of an arm, as a fraction of the radius
_STAR_INNER = 0.45  # radius of the inner corners, as a fraction of that of the outer ones


def draw_shape(name: str, size: int, angle: float) -> Floats:
    """Draw a shape rotated by `angle` (radians) as a (size, size) mask: 1 inside, 0 outside.

    The corners of the shape lie on the inscribed circle of the square; edges are antialiased.
    """
    side = size * _SUPERSAMPLING
    canvas = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(canvas)
    radius = side / 2 - _SUPERSAMPLING
    if name in ("disc", "ring"):
        _circle(draw, side / 2, radius, fill=255)
        if name == "ring":
            _circle(draw, side / 2, radius * _RING_HOLE, fill=0)
    else:
        corners = side / 2 + radius * _rotated(_corners(name), angle)
        draw.polygon([(float(x), float(y)) for x, y in corners], fill=255)
    small = canvas.resize((size, size), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def irregular_blob(size: int, radii: Floats) -> Floats:
    """Draw a polygon that belongs to no class: corners at `radii` (0..1) around the centre."""
    side = size * _SUPERSAMPLING
    canvas = Image.new("L", (side, side), 0)
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    corners = side / 2 * (1 + radii[:, None] * _on_circle(angles))
    ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in corners], fill=255)
    small = canvas.resize((size, size), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def _circle(draw: ImageDraw.ImageDraw, centre: float, radius: float, fill: int) -> None:
    draw.ellipse((centre - radius, centre - radius, centre + radius, centre + radius), fill=fill)


def _corners(name: str) -> Floats:
    """Corners (N, 2) of a polygon shape, the farthest at distance 1 from the origin."""
    if name == "square":
        return _on_circle(np.pi / 4 + np.pi / 2 * np.arange(4))
    if name == "triangle":
        return _on_circle(-np.pi / 2 + 2 * np.pi / 3 * np.arange(3))
    if name == "star":
        points = _on_circle(-np.pi / 2 + np.pi / 5 * np.arange(10))
        return points * np.where(np.arange(10) % 2, _STAR_INNER, 1.0)[:, None]
    if name == "cross":
        arm, reach = _CROSS_ARM, np.sqrt(1 - _CROSS_ARM**2)
        quarter = np.array([(arm, -arm), (reach, -arm), (reach, arm)])
        return np.concatenate([_rotated(quarter, np.pi / 2 * turn) for turn in range(4)])
    raise ValueError(f"unknown shape {name!r}")


def _on_circle(angles: Floats) -> Floats:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _rotated(points: Floats, angle: float) -> Floats:
    cos, sin = np.cos(angle), np.sin(angle)
    rotated: Floats = points @ np.array([[cos, sin], [-sin, cos]])
    return rotated


def colour(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> Floats:
    """Draw a random colour (3,), with saturation and value in the given ranges."""
    rgb = colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(*saturation), rng.uniform(*value))
    return np.array(rgb, np.float32)


def smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> Floats:
    """Draw noise (height, width) in 0..1, with features of about 1/cells of the width."""
    grid = rng.uniform(0, 255, (max(2, cells * height // width), max(2, cells))).astype(np.uint8)
    enlarged = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(enlarged, np.float32) / 255


def textured(rng: np.random.Generator, size: int, base: Floats) -> Floats:
    """Draw a (size, size, 3) patch: a random pattern of `base` and a lighter or darker colour."""
    second = np.clip(base * rng.uniform(0.55, 0.8) + rng.uniform(-0.06, 0.06, 3), 0, 1)
    if rng.uniform() < 0.4:
        second = np.clip(base + (1 - base) * rng.uniform(0.3, 0.6), 0, 1)
    share = _pattern(rng, str(rng.choice(PATTERNS)), size)[..., None]
    patch = base * (1 - share) + second * share
    return np.clip(patch * _light(rng, size)[..., None], 0, 1).astype(np.float32)


def background(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Draw a cluttered, uneven background (height, width, 3) in muted colours."""
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
    # Slightly out of focus, like the background of a photo.
    blurred = Image.fromarray((pixels * 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(rng.uniform(0.4, 1.4))
    )
    return np.asarray(blurred, np.float32) / 255


def blend(canvas: Floats, patch: Floats, mask: Floats, left: int, top: int) -> None:
    """Blend `patch` (h, w, 3) into `canvas` in place by `mask` (h, w), cropped at the border."""
    height, width = canvas.shape[:2]
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + mask.shape[1], width), min(top + mask.shape[0], height)
    if x1 >= x2 or y1 >= y2:
        return
    inside = np.s_[y1 - top : y2 - top, x1 - left : x2 - left]
    share = mask[inside][..., None]
    canvas[y1:y2, x1:x2] = canvas[y1:y2, x1:x2] * (1 - share) + patch[inside] * share


def _pattern(rng: np.random.Generator, name: str, size: int) -> Floats:
    """Draw the share of the second colour at each pixel, (size, size) in 0..1."""
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
    """Draw shading from one side, (size, size), about 0.75 to 1.15."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    light: Floats = 0.95 + 0.28 * (x * np.cos(angle) + y * np.sin(angle))
    return light


def _add_clutter(rng: np.random.Generator, pixels: Floats) -> None:
    """Add one irregular, half transparent piece in a muted colour."""
    height, width = pixels.shape[:2]
    size = int(rng.uniform(0.1, 0.5) * height)
    mask = irregular_blob(size, rng.uniform(0.3, 1.0, rng.integers(5, 10)))
    patch = textured(rng, size, colour(rng, (0.05, 0.45), (0.2, 0.9)))
    left = int(rng.integers(-size // 2, width - size // 2))
    top = int(rng.integers(-size // 2, height - size // 2))
    blend(pixels, patch, mask * np.float32(rng.uniform(0.3, 0.75)), left, top)
