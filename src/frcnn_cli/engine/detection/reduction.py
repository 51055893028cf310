"""The reduced size at which detection decodes a JPEG file: the one place that decides it."""

from __future__ import annotations

from frcnn_cli.engine.network.transforms import at_scales, image_scale
from frcnn_cli.engine.settings import DetectSettings, Preprocessing
from frcnn_proposals.base import Source
from frcnn_proposals.images import Reduction, unreduced
from frcnn_proposals.sources.call import pixels_needed

_FACTORS = (8, 4, 2)  # of libjpeg, greatest first


def reduction_for(
    preprocessing: Preprocessing, settings: DetectSettings, source: Source
) -> Reduction:
    """The greatest reduction that leaves the network and the source as many pixels as they read.

    Images are not reduced for a source that needs them as they are, such as a file of proposals,
    nor for the preprocessing of the first Fast R-CNN implementation: that of the presets `paper-*`
    and of imported Caffe models.
    """
    needed = pixels_needed(source)
    is_first = preprocessing.resize == "float32" or preprocessing.channels == "bgr"
    if needed is None or is_first:
        return unreduced
    scaled = at_scales(preprocessing, settings)

    def reduction(width: int, height: int) -> int:
        largest = max(image_scale(height, width, at_scale) for at_scale in scaled)
        for factor in _FACTORS:
            pixels = (width // factor) * (height // factor)
            if largest * factor <= 1 and pixels >= needed:
                return factor
        return 1

    return reduction
