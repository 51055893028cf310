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


def sample_image() -> np.ndarray:
    y, x = np.mgrid[:60, :80]
    return np.stack([x * 3, y * 4, (x // 20 * 90 + y // 15 * 50) % 256], axis=2).astype(np.uint8)


@pytest.mark.parametrize("mode", ["fast", "quality"])
def test_is_a_source_that_can_be_pickled(mode):
    source = make_source("selective-search", mode=mode)
    assert isinstance(source, Source)
    assert json.loads(json.dumps(source.parameters))["mode"] == mode
    copy = pickle.loads(pickle.dumps(source))
    assert copy == source
    first, second = source.propose(sample_image()), copy.propose(sample_image())
    assert first.boxes.dtype == np.float32
    assert len(first) > 10
    np.testing.assert_array_equal(first.boxes, second.boxes)


def test_quality_finds_more_boxes():
    fast, quality = (SelectiveSearch(mode).propose(sample_image()) for mode in ("fast", "quality"))
    assert len(quality) > len(fast)


def test_options_reach_the_search():
    all_boxes = SelectiveSearch().propose(sample_image()).boxes
    np.testing.assert_array_equal(
        SelectiveSearch(max_boxes=5).propose(sample_image()).boxes, all_boxes[:5]
    )
    sides = SelectiveSearch(min_side=20).propose(sample_image()).boxes
    assert len(sides) < len(all_boxes)
    assert (sides[:, 2:] - sides[:, :2] + 1 >= 20).all()


def test_a_mirrored_view_is_read_correctly():
    mirrored = sample_image()[:, ::-1]
    expected = SelectiveSearch().propose(mirrored.copy()).boxes
    np.testing.assert_array_equal(SelectiveSearch().propose(mirrored).boxes, expected)


@pytest.mark.parametrize("wrong", [{"mode": "slow"}, {"min_side": 0}, {"max_boxes": 0}])
def test_invalid_settings(wrong):
    with pytest.raises(MisuseError, match="selective-search"):
        SelectiveSearch(**wrong)


def test_finds_the_objects_of_a_photograph(shared_data):
    """The demo image of the first Fast R-CNN: most of its boxes have a similar box of ours."""
    from scipy.io import loadmat

    from frcnn_cli.engine.boxes import iou_matrix

    folder = shared_data / "fast-rcnn-demo"
    expected = loadmat(folder / "000004_boxes.mat")["boxes"].astype(np.float32)
    large = expected[(expected[:, 2:] - expected[:, :2]).min(axis=1) >= 40]
    found = SelectiveSearch("quality").propose(read_image(folder / "000004.jpg")).boxes
    assert iou_matrix(large, found).max(axis=1).mean() > 0.8
