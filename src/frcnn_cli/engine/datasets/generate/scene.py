"""One generated image: overlapping textured shapes of many sizes on a cluttered background."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from frcnn_cli.engine.datasets.generate.appearance import (
    SHAPES,
    Floats,
    background,
    blend,
    colour,
    draw_shape,
    textured,
)

_OBJECTS = (2, 6)  # per image
_EXTENT = (0.17, 0.62)  # as a fraction of the shorter image side
_TINY_EXTENT = (0.07, 0.1)  # objects of this size are marked difficult
_TINY_CHANCE = 0.08
_LEAST_VISIBLE = 0.6  # visible fraction of every object, after occlusion and cropping
_LEAST_CONTRAST = 0.3  # RGB distance between a shape's base colour and the pixels behind it
_ATTEMPTS = 30


@dataclass(frozen=True)
class SceneObject:
    """A visible shape. box: x1, y1, x2, y2 of its visible part, 0-based, inclusive."""

    name: str
    box: tuple[int, int, int, int]
    difficult: bool
    truncated: bool
    occluded: bool


@dataclass(frozen=True)
class Scene:
    """An image (H, W, 3), uint8, and its objects."""

    pixels: NDArray[np.uint8]
    objects: tuple[SceneObject, ...]


@dataclass(frozen=True)
class _Placed:
    """A shape on the canvas: the mask of its visible pixels (H, W), and its full area."""

    name: str
    visible: NDArray[np.bool_]
    full_area: float
    difficult: bool
    truncated: bool
    occluded: bool = False

    @property
    def visible_share(self) -> float:
        """The visible fraction, 0..1; 0 for a shape smaller than a pixel."""
        return float(self.visible.sum() / max(self.full_area, 1.0))


def make_scene(rng: np.random.Generator, height: int, width: int) -> Scene:
    """Generate an image from `rng`; the same state gives the same pixels and boxes."""
    canvas = background(rng, height, width)
    placed: list[_Placed] = []
    for _ in range(rng.integers(_OBJECTS[0], _OBJECTS[1] + 1)):
        placed = _add_shape(rng, canvas, placed)
    noisy = canvas + rng.normal(0, 0.012, canvas.shape)
    pixels = (np.clip(noisy, 0, 1) * 255).round().astype(np.uint8)
    return Scene(pixels, tuple(_scene_object(item) for item in placed))


def _add_shape(rng: np.random.Generator, canvas: Floats, placed: list[_Placed]) -> list[_Placed]:
    """Draw one more shape where all shapes stay visible enough; after _ATTEMPTS draw none."""
    height, width = canvas.shape[:2]
    for _ in range(_ATTEMPTS):
        difficult = rng.uniform() < _TINY_CHANCE
        extent = np.exp(rng.uniform(*np.log(_TINY_EXTENT if difficult else _EXTENT)))
        size = int(extent * min(height, width))
        name = str(rng.choice(SHAPES))
        left = int(rng.integers(-size // 6, width - size * 5 // 6))
        top = int(rng.integers(-size // 6, height - size * 5 // 6))
        mask = draw_shape(name, size, rng.uniform(0, 2 * np.pi))
        cover = _on_canvas(mask, height, width, left, top)
        full_area = float((mask > 0.5).sum())
        truncated = float(cover.sum()) < full_area
        newcomer = _Placed(name, cover, full_area, difficult, truncated)
        below = [_covered(item, cover) for item in placed]
        if min(item.visible_share for item in [newcomer, *below]) < _LEAST_VISIBLE:
            continue
        _paint(rng, canvas, mask, cover, left, top)
        return [*below, newcomer]
    return placed


def _covered(item: _Placed, cover: NDArray[np.bool_]) -> _Placed:
    visible = item.visible & ~cover
    return replace(
        item, visible=visible, occluded=item.occluded or visible.sum() < item.visible.sum()
    )


def _paint(
    rng: np.random.Generator,
    canvas: Floats,
    mask: Floats,
    cover: NDArray[np.bool_],
    left: int,
    top: int,
) -> None:
    """Draw a shadow, then the shape in a colour that contrasts with the pixels behind it."""
    behind = canvas[cover].mean(axis=0)
    base = colour(rng, (0.45, 0.95), (0.35, 1.0))
    while np.linalg.norm(base - behind) < _LEAST_CONTRAST:
        base = colour(rng, (0.45, 0.95), (0.35, 1.0))
    size = len(mask)
    reach = max(2, size // 16)
    shadow = np.pad(mask, 2 * reach)
    soft = Image.fromarray((shadow * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(reach))
    shade = np.asarray(soft, np.float32) / 255 * np.float32(rng.uniform(0.2, 0.5))
    dark = np.zeros((*shade.shape, 3), np.float32)
    blend(canvas, dark, shade, left - reach, top - reach)
    blend(canvas, textured(rng, size, base), mask, left, top)


def _on_canvas(mask: Floats, height: int, width: int, left: int, top: int) -> NDArray[np.bool_]:
    """Return the mask of canvas pixels that a shape mask at (left, top) covers."""
    canvas = np.zeros((height, width, 3), np.float32)
    blend(canvas, np.ones((*mask.shape, 3), np.float32), mask, left, top)
    return canvas[..., 0] > 0.5


def _scene_object(item: _Placed) -> SceneObject:
    rows, columns = (np.flatnonzero(item.visible.any(axis=axis)) for axis in (1, 0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1]))
    return SceneObject(item.name, box, item.difficult, item.truncated, item.occluded)
