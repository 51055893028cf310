"""The source `selective-search`."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from frcnn_proposals.base import Source
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.images import read_image
from frcnn_proposals.sources.registry import make_source
from frcnn_proposals.sources.selective_search import SelectiveSearch


def picture() -> np.ndarray:
    y, x = np.mgrid[:60, :80]
    return np.stack([x * 3, y * 4, (x // 20 * 90 + y // 15 * 50) % 256], axis=2).astype(np.uint8)


@pytest.mark.parametrize("mode", ["fast", "quality"])
def test_is_a_source_that_travels(mode):
    source = make_source("selective-search", mode=mode)
    assert isinstance(source, Source)
    assert json.loads(json.dumps(source.parameters))["mode"] == mode
    twin = pickle.loads(pickle.dumps(source))
    assert twin == source
    first, second = source.propose(picture()), twin.propose(picture())
    assert first.boxes.dtype == np.float32
    assert len(first) > 10
    np.testing.assert_array_equal(first.boxes, second.boxes)


def test_quality_looks_for_more():
    fast, quality = (SelectiveSearch(mode).propose(picture()) for mode in ("fast", "quality"))
    assert len(quality) > len(fast)


def test_options_reach_the_search():
    every = SelectiveSearch().propose(picture()).boxes
    np.testing.assert_array_equal(SelectiveSearch(max_boxes=5).propose(picture()).boxes, every[:5])
    sides = SelectiveSearch(min_side=20).propose(picture()).boxes
    assert len(sides) < len(every)
    assert (sides[:, 2:] - sides[:, :2] + 1 >= 20).all()


def test_a_mirrored_view_is_read_as_it_looks():
    mirrored = picture()[:, ::-1]
    expected = SelectiveSearch().propose(mirrored.copy()).boxes
    np.testing.assert_array_equal(SelectiveSearch().propose(mirrored).boxes, expected)


@pytest.mark.parametrize("wrong", [{"mode": "slow"}, {"min_side": 0}, {"max_boxes": 0}])
def test_settings_that_cannot_be(wrong):
    with pytest.raises(MisuseError, match="selective-search"):
        SelectiveSearch(**wrong)


def test_finds_the_objects_of_a_photograph(shared_data):
    """The first Fast R-CNN's demo image: most of its own boxes have one of ours near."""
    from scipy.io import loadmat

    from frcnn_cli.engine.boxes import iou_matrix

    folder = shared_data / "fast-rcnn-demo"
    theirs = loadmat(folder / "000004_boxes.mat")["boxes"].astype(np.float32)
    large = theirs[(theirs[:, 2:] - theirs[:, :2]).min(axis=1) >= 40]
    ours = SelectiveSearch("quality").propose(read_image(folder / "000004.jpg")).boxes
    assert iou_matrix(large, ours).max(axis=1).mean() > 0.8
