"""Detection in JPEG files that are decoded at a reduced size, where nothing reads more pixels."""

from __future__ import annotations

from dataclasses import replace

from frcnn_cli.engine.detection.tiles import detect_in_tiles
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import at_scales, image_scale
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.settings import DetectSettings, Preprocessing
from frcnn_proposals.base import Proposals, Source
from frcnn_proposals.images import ReducedImage, Reduction, unreduced
from frcnn_proposals.sources.call import pixels_needed

_REDUCTIONS = (8, 4, 2)  # of libjpeg, greatest first


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
        for factor in _REDUCTIONS:
            pixels = (width // factor) * (height // factor)
            if largest * factor <= 1 and pixels >= needed:
                return factor
        return 1

    return reduction


def detect_reduced(
    model: FastRCNN, image: ReducedImage, proposals: Proposals, settings: DetectSettings
) -> Detections:
    """Detections in pixels of the original image, from proposals in those of the reduced one.

    image: pixels (h, w, 3), decoded from (H, W, 3). proposals: (R, 4), in the h x w pixels. The
    boxes of the detections are (D, 4), in the H x W pixels.
    """
    found = detect_in_tiles(model, image.pixels, proposals, settings)
    return replace(found, boxes=image.original(found.boxes))
