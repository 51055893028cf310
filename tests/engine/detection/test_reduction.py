"""JPEG files are decoded at a reduced size where the network and the source read no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from frcnn_cli.engine.detection.images import FileResult, detect_files
from frcnn_cli.engine.detection.reduction import reduction_for
from frcnn_cli.engine.models.presets import PRESETS, base_experiment
from frcnn_cli.engine.network.backbones.defaults import CAFFE_PIXELS
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.settings import DetectSettings, Preprocessing
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.images import unreduced
from frcnn_proposals.sources.registry import make_source

LITE = Preprocessing(scale=480, max_size=800)
# Detections keep the boxes of their proposals, and all of them are kept.
AS_PROPOSED = DetectSettings(score_threshold=0.0, box_regression=False, nms_iou=1.0)


class Quarters:
    """The four quarters of the image it gets, and its size."""

    name, version, thread_safe, working_pixels = "quarters", "1", True, 100

    def __init__(self) -> None:
        self.parameters: dict[str, object] = {}
        self.sizes: list[tuple[int, int]] = []

    def propose(self, image: Image) -> Proposals:
        height, width = image.shape[:2]
        self.sizes.append((width, height))
        x, y = width // 2, height // 2
        boxes = [(0, 0, x - 1, y - 1), (x, 0, width - 1, y - 1),
                 (0, y, x - 1, height - 1), (x, y, width - 1, height - 1)]  # fmt: skip
        return Proposals(boxes)


def quarters_of(width: int, height: int) -> set[tuple[float, ...]]:
    return set(map(tuple, Quarters().propose(np.zeros((height, width, 3))).boxes.tolist()))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((4000, 3000), 4),  # 1000 x 750; the network reads 640 x 480
        ((3000, 4000), 4),
        ((8000, 6000), 8),
        ((2000, 1500), 2),
        ((1270, 958), 1),  # half of it would be less than the network reads
        ((12000, 600), 4),  # the source reads 250,000 pixels
        ((500, 375), 1),
    ],
)
def test_the_network_and_the_source_get_as_many_pixels_as_they_read(
    size: tuple[int, int], expected: int
) -> None:
    source = make_source("selective-search")
    assert reduction_for(LITE, DetectSettings(), source)(*size) == expected


def test_all_scales_and_sources_count() -> None:
    search = make_source("selective-search")
    larger = make_source("selective-search", working_pixels=4_000_000)
    scales = DetectSettings(scales=(480, 1200))
    size = (8000, 6000)
    assert reduction_for(LITE, scales, search)(*size) == 4
    assert reduction_for(LITE, DetectSettings(), larger)(*size) == 2
    both = make_source(
        "selective-search+opencv-selective-search",
        **{"opencv-selective-search": {"working_pixels": 4_000_000}},
    )
    assert reduction_for(LITE, DetectSettings(), both)(*size) == 2


@pytest.mark.parametrize(
    ("source", "parameters"),
    [
        ("dense", {}),
        ("selective-search+dense", {}),
        ("selective-search", {"working_pixels": None}),
    ],
)
def test_sources_that_read_every_pixel_get_them(source: str, parameters: dict[str, None]) -> None:
    made = make_source(source, **parameters)
    assert reduction_for(LITE, DetectSettings(), made) is unreduced


def test_the_pixels_of_the_paper_are_never_reduced() -> None:
    source = make_source("selective-search")
    reduced = {
        preset.name
        for preset in PRESETS
        if reduction_for(base_experiment(preset.name).preprocessing, DetectSettings(), source)
        is not unreduced
    }
    assert reduced == {"lite"}
    older = replace(CAFFE_PIXELS, resize="uint8")  # as models of version 0.2.0 store it
    for preprocessing in (CAFFE_PIXELS, older):
        assert reduction_for(preprocessing, DetectSettings(), source) is unreduced


def detected(model: FastRCNN, path: Path, source: Quarters) -> FileResult[Detections]:
    reduction = reduction_for(model.architecture.preprocessing, AS_PROPOSED, source)

    def propose(image_id: str, image: Image) -> Proposals:
        return source.propose(image)

    [found] = detect_files(
        model, [("a", path)], propose, AS_PROPOSED, reduction=reduction
    )  # fmt: skip
    assert found.error is None
    return found


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_boxes_are_in_pixels_of_the_upright_file(
    small_model: FastRCNN, tmp_path: Path, orientation: int
) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.jpg"
    PIL.Image.new("RGB", (640, 480), "teal").save(path, exif=exif)
    source = Quarters()
    found = detected(small_model, path, source)
    size = (640, 480) if orientation < 5 else (480, 640)
    assert source.sizes == [(size[0] // 4, size[1] // 4)]  # the network reads 85 x 64
    assert found.file is not None
    assert found.file.size == size
    assert found.found is not None
    assert set(map(tuple, found.found.boxes.tolist())) == quarters_of(*size)
    assert found.image is None  # whoever draws reads the file again


def test_borders_that_are_no_multiple_of_the_factor(small_model: FastRCNN, tmp_path: Path) -> None:
    """645 x 483 is decoded as 162 x 121: the last column covers one pixel, the last row three."""
    path = tmp_path / "a.jpg"
    PIL.Image.new("RGB", (645, 483), "teal").save(path)
    source = Quarters()
    found = detected(small_model, path, source)
    assert source.sizes == [(162, 121)]
    assert found.found is not None
    corners = found.found.boxes
    assert set(corners[:, 0].tolist()) == {0, 81 * 4}
    assert set(corners[:, 2].tolist()) == {81 * 4 - 1, 644}
    assert set(corners[:, 3].tolist()) == {60 * 4 - 1, 482}


def test_other_formats_are_decoded_whole(small_model: FastRCNN, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    PIL.Image.new("RGB", (640, 480), "teal").save(path)
    source = Quarters()
    found = detected(small_model, path, source)
    assert source.sizes == [(640, 480)]
    assert found.image is not None
    assert found.image.shape == (480, 640, 3)
    assert found.found is not None
    assert set(map(tuple, found.found.boxes.tolist())) == quarters_of(640, 480)
