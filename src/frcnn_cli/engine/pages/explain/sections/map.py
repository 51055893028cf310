"""From the image to the feature map, and the proposals on both (paper, section 2)."""

from __future__ import annotations

from typing import Any

from frcnn_cli.engine.pages.explain.sections.rounding import rounded
from frcnn_cli.engine.pages.explain.subject import Subject


def map_numbers(subject: Subject) -> dict[str, Any]:
    """Sizes of image, input and map; all proposals; the strength of each cell of the map.

    strength: the root mean square over the channels of a cell.
    """
    _, channels, height, width = subject.feature_map.shape
    strength = subject.feature_map[0].square().mean(dim=0).sqrt()
    return {
        "scale": subject.scale,
        "input": list(subject.input_size),
        "stride": subject.model.stride,
        "channels": channels,
        "map": [height, width],
        "strength": rounded(strength, 3),
        "proposals": subject.proposals.boxes.round().astype(int).tolist(),
        "rois": rounded(subject.chosen_rois[:, 1:], 5),
    }
