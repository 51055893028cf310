"""The classes of the generated data set: each a shape, drawn as a soft-edged mask."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Floats = NDArray[np.floating[Any]]

SHAPES = ("disc", "square", "triangle", "star", "ring", "cross")

_SUPERSAMPLING = 4
_RING_HOLE = 0.52  # of the radius
_CROSS_ARM = 0.36  # half an arm's width, of the radius
_STAR_INNER = 0.45  # the inner corners' radius, of the outer ones'


def draw_shape(name: str, size: int, angle: float) -> Floats:
    """A shape turned by `angle` (radians) in a (size, size) square: 1 inside, 0 outside.

    The shape's corners lie on the circle that fills the square; edges are antialiased.
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
        corners = side / 2 + radius * _turned(_corners(name), angle)
        draw.polygon([(float(x), float(y)) for x, y in corners], fill=255)
    small = canvas.resize((size, size), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def irregular_blob(size: int, radii: Floats) -> Floats:
    """A polygon that is none of the classes: corners at `radii` (0..1) round the centre."""
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
        return np.concatenate([_turned(quarter, np.pi / 2 * turn) for turn in range(4)])
    raise ValueError(f"unknown shape {name!r}")


def _on_circle(angles: Floats) -> Floats:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _turned(points: Floats, angle: float) -> Floats:
    cos, sin = np.cos(angle), np.sin(angle)
    turned: Floats = points @ np.array([[cos, sin], [-sin, cos]])
    return turned
