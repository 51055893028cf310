"""Colours of classes: each is as far as possible from those of all classes before it."""

from __future__ import annotations

import colorsys
from functools import cache

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

_DISTINCT = 128  # number of colours before they repeat
# Candidates: hues, and pairs of saturation and value. None is dull, as such lines are hard to see.
_HUES = 36
_TONES = ((0.45, 1), (0.7, 0.85), (0.7, 1), (1, 0.7), (1, 0.85), (1, 1))
_DARKEST = 45.0  # lightness, 0 to 100
_LIGHT = 49.4  # lightness from which black has more contrast (WCAG) than white
# sRGB (linear) to XYZ, relative to white D65.
_TO_XYZ = np.array(
    [[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1095, 0.8728]], np.float64
)


def class_colour(label: int) -> Colour:
    """Return a bright colour for a label (1..K); it does not depend on the other classes."""
    return _palette()[(label - 1) % _DISTINCT]


def ink_on(colour: Colour) -> Colour:
    """Return black or white: the one that has more contrast with `colour`, at least 4.5 to 1."""
    lightness = _lab(np.array([colour]) / 255)[0, 0]
    return (0, 0, 0) if lightness > _LIGHT else (255, 255, 255)


@cache
def _palette() -> tuple[Colour, ...]:
    """Take the candidate that is farthest from all colours taken before, again and again.

    White and black come first without being in the result, as no box should look like them.
    """
    candidates = np.array(
        [colorsys.hsv_to_rgb(hue / _HUES, *tone) for hue in range(_HUES) for tone in _TONES]
    )
    points = _lab(candidates)
    bright = points[:, 0] >= _DARKEST
    candidates, points = candidates[bright], points[bright]
    distance = np.full(len(points), np.inf)
    for used in _lab(np.array([(1.0, 1.0, 1.0), (0.0, 0.0, 0.0)])):
        distance = np.minimum(distance, np.linalg.norm(points - used, axis=1))
    chosen = []
    for _ in range(_DISTINCT):
        farthest = int(distance.argmax())
        red, green, blue = np.rint(255 * candidates[farthest]).astype(int).tolist()
        chosen.append((red, green, blue))
        distance = np.minimum(distance, np.linalg.norm(points - points[farthest], axis=1))
    return tuple(chosen)


def _lab(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB (N, 3), 0 to 1, as CIELAB, in which equal distances look about equally different."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
