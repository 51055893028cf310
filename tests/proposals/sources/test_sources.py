"""The sources: their boxes, and finding them by name."""

from __future__ import annotations

import json
import pickle
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from frcnn_proposals.checks import check_proposals
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.images import read_image
from frcnn_proposals.sources.dense import DenseBoxes
from frcnn_proposals.sources.opencv import OpenCVSelectiveSearch
from frcnn_proposals.sources.registry import list_sources, make_source
from frcnn_proposals.store.provenance import Provenance


@pytest.fixture(scope="module")
def image():
    """Two discs on a noisy background."""
    rng = np.random.default_rng(0)
    image = rng.integers(90, 110, (80, 120, 3)).astype(np.uint8)
    y, x = np.mgrid[:80, :120]
    image[(x - 40) ** 2 + (y - 40) ** 2 < 20**2] = (220, 40, 40)
    image[(x - 90) ** 2 + (y - 30) ** 2 < 12**2] = (30, 60, 210)
    return image


def best_iou(boxes, target):
    x1, y1 = np.maximum(boxes[:, :2], target[:2]).T
    x2, y2 = np.minimum(boxes[:, 2:], target[2:]).T
    overlap = np.clip(x2 - x1 + 1, 0, None) * np.clip(y2 - y1 + 1, 0, None)
    area = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    own = (target[2] - target[0] + 1) * (target[3] - target[1] + 1)
    return (overlap / (area + own - overlap)).max()


class TestOpenCV:
    def test_finds_the_discs(self, image):
        found = OpenCVSelectiveSearch().propose(image)
        check_proposals(found, 120, 80)
        assert len(np.unique(found.boxes, axis=0)) == len(found)
        assert best_iou(found.boxes, np.array([21, 21, 59, 59])) > 0.9
        assert best_iou(found.boxes, np.array([79, 19, 101, 41])) > 0.9

    def test_equals_opencv(self, image):
        import cv2

        search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        search.switchToSelectiveSearchFast()
        expected = {(x, y, x + w - 1, y + h - 1) for x, y, w, h in search.process().tolist()}
        found = OpenCVSelectiveSearch().propose(image)
        assert set(map(tuple, found.boxes.astype(int).tolist())) == expected

    def test_the_order_does_not_depend_on_earlier_images(self, image):
        source = OpenCVSelectiveSearch()
        first = source.propose(image)
        source.propose(image[::-1])
        np.testing.assert_array_equal(source.propose(image).boxes, first.boxes)

    def test_quality_has_more(self, image):
        fast, quality = (OpenCVSelectiveSearch(mode).propose(image) for mode in ("fast", "quality"))
        assert len(quality) > len(fast)

    def test_tiny_images(self):
        for shape in ((1, 1, 3), (1, 9, 3), (3, 2, 3)):
            found = OpenCVSelectiveSearch().propose(np.zeros(shape, np.uint8))
            check_proposals(found, shape[1], shape[0])

    def test_provenance_has_version_and_parameters(self):
        import cv2

        provenance = Provenance.of(OpenCVSelectiveSearch("quality"))
        assert provenance.version == cv2.__version__
        assert provenance.parameters["mode"] == "quality"
        assert provenance.parameters["sigma"] == 0.8

    def test_threads_do_not_change_the_order(self, image):
        source = OpenCVSelectiveSearch()
        small = image[:120, :160]
        alone = source.propose(small).boxes
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda _: source.propose(small).boxes, range(24)))
        assert all(np.array_equal(boxes, alone) for boxes in found)

    def test_opencv_without_contrib_is_an_error_with_advice(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "cv2", types.ModuleType("cv2"))
        with pytest.raises(InputError, match="pip install opencv-contrib-python"):
            OpenCVSelectiveSearch()

    def test_missing_opencv_is_an_error_with_advice(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "cv2", None)
        with pytest.raises(InputError, match="pip install opencv-contrib-python"):
            OpenCVSelectiveSearch()


class TestDense:
    def test_about_as_many_as_the_paper_on_a_voc_image(self):
        found = DenseBoxes().propose(np.zeros((375, 500, 3), np.uint8))
        check_proposals(found, 500, 375)
        assert 40_000 < len(found) < 50_000
        assert len(np.unique(found.boxes, axis=0)) == len(found)

    def test_a_grid_by_hand(self):
        # Windows of 4 x 4 that move by 2 in an image of 8 x 6: x 0 2 4, y 0 2.
        found = DenseBoxes(scales=[4], ratios=[1], step=0.5).propose(np.zeros((6, 8, 3), np.uint8))
        expected = [(0, 0, 7, 5)] + [(x, y, x + 3, y + 3) for y in (0, 2) for x in (0, 2, 4)]
        np.testing.assert_array_equal(found.boxes, expected)

    def test_windows_reach_both_edges(self):
        found = DenseBoxes(scales=[5], ratios=[1], step=0.7).propose(np.zeros((5, 23, 3), np.uint8))
        assert found.boxes[1:, 0].min() == 0
        assert found.boxes[1:, 2].max() == 22

    def test_an_image_smaller_than_all_windows_is_one_box(self):
        found = DenseBoxes().propose(np.zeros((3, 4, 3), np.uint8))
        np.testing.assert_array_equal(found.boxes, [[0, 0, 3, 2]])

    def test_invalid_step(self):
        with pytest.raises(MisuseError):
            DenseBoxes(step=0)

    def test_a_hundred_thousand_boxes(self):
        found = DenseBoxes(step=0.09).propose(np.zeros((375, 500, 3), np.uint8))
        assert len(found) > 100_000
        assert len(np.unique(found.boxes, axis=0)) == len(found)

    @pytest.mark.parametrize("step", [0.14, 1e-300])
    def test_more_boxes_than_the_limit_are_rejected_before_they_are_computed(self, step):
        enormous = np.broadcast_to(np.uint8(0), (200_000, 300_000, 3))
        with pytest.raises(ValueError, match=r"300000 x 200000 .*limit of 4,000,000; .* step"):
            DenseBoxes(step=step).propose(enormous)

    def test_windows_are_at_least_a_pixel_apart(self):
        found = DenseBoxes(scales=[4], ratios=[1], step=1e-300)
        assert len(found.propose(np.zeros((6, 8, 3), np.uint8))) == 1 + 3 * 5


class TestJoined:
    def test_the_boxes_of_both_in_order_and_none_twice(self, image):
        search, grid = make_source("selective-search"), make_source("dense", step=0.5)
        joined = make_source("selective-search+dense", dense={"step": 0.5})
        found = joined.propose(image)
        first, second = (set(map(tuple, s.propose(image).boxes.tolist())) for s in (search, grid))
        assert first & second  # both have the whole image
        assert len(found) == len(first | second)
        np.testing.assert_array_equal(found.boxes[: len(first)], search.propose(image).boxes)
        assert set(map(tuple, found.boxes[len(first) :].tolist())) == second - first
        assert found.scores is None

    def test_the_provenance_contains_every_source(self):
        one, other = (make_source("dense+selective-search", dense={"step": s}) for s in (0.5, 0.6))
        assert one.name == "dense+selective-search"
        assert one.parameters["dense"]["step"] == 0.5
        assert Provenance.of(one).fingerprint != Provenance.of(other).fingerprint
        copy = pickle.loads(pickle.dumps(one))
        assert Provenance.of(copy) == Provenance.of(one)

    @pytest.mark.parametrize("name", ["dense+edge-boxes", "dense+", "dense+dense"])
    def test_invalid_combinations(self, name):
        with pytest.raises(MisuseError):
            make_source(name)

    def test_parameters_belong_to_one_source(self):
        with pytest.raises(MisuseError, match="of each source as JSON"):
            make_source("selective-search+dense", mode="fast")


def test_sources_are_picklable_and_keep_their_parameters():
    for source in (make_source("opencv-selective-search", mode="quality"), make_source("dense")):
        copy = pickle.loads(pickle.dumps(source))
        assert Provenance.of(copy) == Provenance.of(source)


def test_built_in_sources_are_listed():
    names = [info.name for info in list_sources()]
    assert names[:4] == ["selective-search", "opencv-selective-search", "dense", "precomputed"]


def test_an_unknown_source_is_an_error_that_lists_the_sources():
    with pytest.raises(MisuseError, match="opencv-selective-search"):
        make_source("edge-boxes")


def test_an_unknown_parameter_is_an_error_that_lists_the_parameters():
    with pytest.raises(MisuseError, match="scales"):
        make_source("dense", size=3)


def test_fingerprint_changes_with_every_part():
    base = Provenance("a", "1", {"mode": "fast"})
    others = [
        Provenance("b", "1", {"mode": "fast"}),
        Provenance("a", "2", {"mode": "fast"}),
        Provenance("a", "1", {"mode": "quality"}),
    ]
    assert len({p.fingerprint for p in (base, *others)}) == 4
    assert Provenance("a", "1", {"mode": "fast"}, note="x").fingerprint == base.fingerprint
    assert Provenance.from_json(base.to_json()) == base


def test_precomputed_finds_boxes_by_id(shared_data):
    file = shared_data / "fast-rcnn-demo" / "000004_boxes.mat"
    source = pickle.loads(pickle.dumps(make_source("precomputed", file=str(file))))
    assert len(source.propose_for("000004")) == 2888
    with pytest.raises(InputError, match="000005"):
        source.propose_for("000005")
    with pytest.raises(MisuseError):
        source.propose(read_image(shared_data / "fast-rcnn-demo" / "000004.jpg"))


def test_precomputed_finds_whole_numbers_and_checks_the_image_size(tmp_path):
    value = {"boxes": [np.array([[0, 0, 50, 40]])], "scores": [np.ones(1)], "indexes": [12]}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(value))
    source = make_source("precomputed", file=tmp_path / "a.pkl")
    assert len(source.propose_for("000012", (51, 41))) == 1
    with pytest.raises(InputError, match="outside its image of 50 x 41"):
        source.propose_for("000012", (50, 41))


def test_precomputed_reads_a_folder_and_detects_changes_in_it(tmp_path):
    def masks(name, x):
        runs = {"size": [40, 50], "counts": [x * 40, 40, (49 - x) * 40]}
        (tmp_path / "sub").mkdir(exist_ok=True)
        (tmp_path / "sub" / name).write_text(json.dumps([{"segmentation": runs}]))

    masks("a.json", 3)
    first = make_source("precomputed", file=tmp_path)
    assert first.propose_for("a", (50, 40)).boxes.tolist() == [[3, 0, 3, 39]]
    masks("a.json", 4)
    other = make_source("precomputed", file=tmp_path)
    masks("a.json", 3)
    (tmp_path / "notes.txt").write_text("no proposals")
    same = make_source("precomputed", file=tmp_path)
    (tmp_path / "sub" / "a.json").rename(tmp_path / "sub" / "b.json")
    renamed = make_source("precomputed", file=tmp_path)
    assert first.version == same.version
    assert len({source.version for source in (first, other, renamed)}) == 3
