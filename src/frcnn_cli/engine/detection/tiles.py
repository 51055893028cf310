"""Detection in tiles: small objects in large images.

The whole image and each of its tiles are processed one after the other, each like a separate
image. Their detections are merged by non-maximum suppression with the settings of the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from frcnn_cli.engine.detection.image import detect_image
from frcnn_cli.engine.detection.suppression import Candidates, suppress
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.source_calls import Propose, SourceCalls
from frcnn_cli.engine.records import Detections, highest
from frcnn_cli.engine.reporter import Reporter
from frcnn_cli.engine.settings import DetectSettings, TileSettings
from frcnn_proposals.base import Image, Proposals, Window
from frcnn_proposals.formats.parts.row import Notice
from frcnn_proposals.wording import some_of

# A box may be cut if it ends this close to an edge of its tile, as a share of the tile's side.
_MARGIN = 0.01


@dataclass(frozen=True)
class TiledProposals(Proposals):
    """The proposals of an image, and those of each of its tiles, in pixels of the tile.

    clipped: of the image and the tiles together.
    """

    tiles: tuple[tuple[Window, Proposals], ...] = ()


def propose_in_tiles(propose: SourceCalls, tiles: TileSettings | None) -> Propose:
    """The function that calls `propose` for an image, and with `tiles` also for each tile."""
    if tiles is None:
        return propose

    def proposed(image_id: str, image: Image) -> Proposals:
        def propose_for(window: Window) -> Proposals:
            return propose(image_id, window.pixels_of(image), window)

        size = (image.shape[1], image.shape[0])
        return _with_tiles(propose(image_id, image), tiles, size, propose_for)

    return proposed


def assign_to_tiles(
    given: Proposals, tiles: TileSettings | None, size: tuple[int, int]
) -> Proposals:
    """The given proposals of an image (width, height), also for each tile that they are inside."""
    if tiles is None:
        return given
    return _with_tiles(given, tiles, size, lambda window: window.inside(given))


def _with_tiles(
    whole: Proposals,
    tiles: TileSettings,
    size: tuple[int, int],
    propose_for: Callable[[Window], Proposals],
) -> Proposals:
    parts = tuple((window, propose_for(window)) for window in windows_of(tiles, *size))
    clipped = whole.clipped + sum(proposals.clipped for _, proposals in parts)
    return TiledProposals(whole.boxes, whole.scores, clipped, parts)


def windows_of(tiles: TileSettings, width: int, height: int) -> list[Window]:
    """The tiles of an image, row by row; none if the image is not larger than a tile.

    They are as few as the overlap allows, and spread evenly.
    """
    if not tiles.divides(width, height):
        return []
    tile = (min(tiles.size, width), min(tiles.size, height))
    columns, rows = _starts(width, tiles), _starts(height, tiles)
    return [Window(x, y, *tile, width, height) for y in rows for x in columns]


def _starts(length: int, tiles: TileSettings) -> list[int]:
    """The first pixel of each tile along a side of the image."""
    last = max(0, length - tiles.size)
    shared = math.ceil(tiles.size * tiles.overlap - 1e-6)  # 55 * 0.2 is a little more than 11
    steps = math.ceil(last / (tiles.size - shared))
    return [last * step // max(1, steps) for step in range(steps + 1)]


def detect_in_tiles(
    model: FastRCNN, image: Image, proposals: Proposals, settings: DetectSettings
) -> Detections:
    """Detections in one RGB image (H, W, 3) uint8, and in its tiles if the proposals have some.

    Without tiles, they are those of `detect_image`. A box that its tile cuts is dropped if another
    tile contains it: that one shows the whole object.
    """
    found = detect_image(model, image, proposals, settings)
    if not isinstance(proposals, TiledProposals) or not proposals.tiles:
        return found
    limits = np.stack([_limits(window) for window, _ in proposals.tiles])
    parts = [found]
    for index, (window, boxes) in enumerate(proposals.tiles):
        part = detect_image(model, window.pixels_of(image), boxes, settings)
        part = replace(part, boxes=window.original(part.boxes))
        parts.append(part.take(np.flatnonzero(~_is_cut(part.boxes, index, limits))))
    return _merged(parts, settings)


def _limits(window: Window) -> NDArray[np.float32]:
    """The smallest x1, y1 and the largest x2, y2 of a box that the window does not cut.

    No box is cut by an edge of the image itself.
    """
    margin = _MARGIN * max(window.width, window.height)
    right, bottom = window.x + window.width, window.y + window.height
    return np.array(
        [
            window.x + margin if window.x > 0 else -math.inf,
            window.y + margin if window.y > 0 else -math.inf,
            right - 1 - margin if right < window.image_width else math.inf,
            bottom - 1 - margin if bottom < window.image_height else math.inf,
        ],
        np.float32,
    )


def _is_cut(
    boxes: NDArray[np.float32], tile: int, limits: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Whether each box (N, 4) of a tile may be cut by it, and is not by another one.

    tile: its index in limits (T, 4). Boxes are in pixels of the image.
    """
    corners = boxes[:, None]
    starts_inside = np.all(corners[..., :2] >= limits[:, :2], axis=2)
    ends_inside = np.all(corners[..., 2:] <= limits[:, 2:], axis=2)
    is_whole: NDArray[np.bool_] = starts_inside & ends_inside  # (N, T)
    cut: NDArray[np.bool_] = ~is_whole[:, tile] & np.any(is_whole, axis=1)
    return cut


def _merged(parts: Sequence[Detections], settings: DetectSettings) -> Detections:
    """The detections of all parts, after non-maximum suppression per class."""
    boxes, scores, labels = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("boxes", "scores", "labels")
    )
    if len(boxes) == 0:
        return Detections(best_rejected=highest(part.best_rejected for part in parts))
    tensors = (torch.from_numpy(values) for values in (scores, boxes, labels))
    kept = suppress(Candidates(torch.arange(len(boxes)), *tensors), settings)
    return Detections(boxes, scores, labels).take(kept.numpy())


def small_image_notice(tiles: TileSettings) -> Notice:
    """What warn_of_small_images reports, for images whose number is not known in advance."""
    same = f"not larger than a tile of {tiles.size} x {tiles.size} pixels: tiles have no effect"
    return f"image is {same} there.", f"images are {same} there."


def warn_of_small_images(
    tiles: TileSettings | None, sizes: Collection[tuple[int, int]], reporter: Reporter
) -> None:
    """Report images (width, height) that are not larger than a tile."""
    if tiles is None:
        return
    small = sum(not tiles.divides(*size) for size in sizes)
    if small:
        of_several = some_of(small, len(sizes), "image", "is", "are")
        images_are = "The image is" if len(sizes) == 1 else of_several
        side = f"{tiles.size} x {tiles.size} pixels"
        reporter.warn(f"{images_are} not larger than a tile of {side}: tiles have no effect there.")
