"""Selective search: boxes of likely objects, computed from the pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Positions are the numbers of the compiled ColourSpace.
COLOUR_SPACES = ("hsv", "lab", "rgi", "grey", "hue")
# Bits of the compiled Similarity, by the letters of the paper's table 2.
SIMILARITIES = {"C": 1, "T": 2, "S": 4, "F": 8}
_NO_LIMIT = 2**62


def selective_search(
    image: Tensor,
    colour_spaces: Sequence[str],
    thresholds: Sequence[int],
    similarities: Sequence[str],
    *,
    connectivity: int = 4,
    base_threshold: int = 50,
    min_region: int = 100,
    min_side: int = 1,
    max_boxes: int | None = None,
) -> Tensor:
    """Boxes of the regions of hierarchical groupings (Uijlings et al., IJCV 2013), best first.

    Computes one hierarchy per combination of colour space, threshold and set of similarities. A box
    that several hierarchies contain is listed once.

    image: (H, W, 3), uint8, RGB, on the CPU.
    colour_spaces: names from COLOUR_SPACES.
    thresholds: k of the graph-based segmentation that a hierarchy starts from (Felzenszwalb and
        Huttenlocher, IJCV 2004), in grey levels times pixels.
    similarities: sets of letters from SIMILARITIES (colour, texture, size, fill), such as "CTSF".
    connectivity: number of neighbours of a pixel in the segmentation, 4 or 8. 8 takes longer and
        finds smoother regions.
    base_threshold: k of the segmentation of the pixels, which is computed once per colour space.
        The segmentations at `thresholds` start from its regions.
    min_region: the smallest region at the start of a hierarchy, in pixels.
    min_side: shorter boxes are omitted (width or height, in pixels).
    max_boxes: the greatest number of boxes to return; None for all.

    Returns int32 (N, 4), x1, y1, x2, y2, 0-based with inclusive corners. The same pixels give the
    same boxes in the same order on every machine, with any number of threads and any instruction
    set. The interpreter's lock (GIL) is released during the search.
    Raises ValueError for invalid arguments and for images of more than 2**26 pixels.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != torch.uint8:
        raise ValueError(f"image must be (H, W, 3) uint8, not {tuple(image.shape)} {image.dtype}")
    if image.device.type != "cpu":
        raise ValueError(f"image must be on the CPU, not on {image.device}")
    height, width = image.shape[:2]
    if not 1 <= height * width <= 2**26 or max(height, width) >= 2**16:
        raise ValueError(
            f"image is {width} x {height}: it must have 1 to 2**26 pixels and sides below 2**16"
        )
    if base_threshold < 1 or any(threshold < 1 for threshold in thresholds):
        raise ValueError(f"thresholds must be at least 1, not {[base_threshold, *thresholds]}")
    if connectivity not in (4, 8):
        raise ValueError(f"connectivity must be 4 or 8, not {connectivity}")
    if min_region < 1:
        raise ValueError(f"min_region must be at least 1, not {min_region}")
    if max_boxes is not None and max_boxes < 0:
        raise ValueError(f"max_boxes must not be negative, but it is {max_boxes}")
    boxes: Tensor = torch.ops.frcnn.selective_search(
        image,
        [_colour_space(name) for name in colour_spaces],
        list(thresholds),
        [_similarity_bits(letters) for letters in similarities],
        connectivity,
        base_threshold,
        min_region,
        min_side,
        _NO_LIMIT if max_boxes is None else max_boxes,
    )
    return boxes


def _colour_space(name: str) -> int:
    if name not in COLOUR_SPACES:
        raise ValueError(f"unknown colour space {name!r}: choose from {', '.join(COLOUR_SPACES)}")
    return COLOUR_SPACES.index(name)


def _similarity_bits(letters: str) -> int:
    if not letters or len(set(letters)) < len(letters) or not set(letters) <= set(SIMILARITIES):
        raise ValueError(
            f"invalid similarities {letters!r}: use the letters C, T, S, F, each at most once"
        )
    return sum(SIMILARITIES[letter] for letter in letters)


@torch.library.register_fake("frcnn::selective_search")
def _selective_search_fake(
    image: Tensor,
    colour_spaces: list[int],
    thresholds: list[int],
    similarities: list[int],
    connectivity: int,
    base_threshold: int,
    min_region: int,
    min_side: int,
    max_boxes: int,
) -> Tensor:
    found = torch.library.get_ctx().new_dynamic_size()
    return image.new_empty((found, 4), dtype=torch.int32)
