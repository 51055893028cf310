"""The one call of a source: what it gets, and what it may return."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import plugins
import pytest

from frcnn_proposals.base import Proposals, Window, is_thread_safe
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.sources.call import SourceError, call_source, pixels_needed
from frcnn_proposals.sources.registry import (
    check_source,
    list_sources,
    make_source,
    parse_parameters,
)
from frcnn_proposals.sources.union import UnionSource
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.writer import StoreWriter


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    plugins.install(monkeypatch)


@pytest.fixture
def image():
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    pixels[0, 0] = 255
    return pixels


IN_PROCESS = [kind for kind in plugins.FAILING if kind not in (plugins.ExitsAtOnce, plugins.Killed)]


@pytest.mark.parametrize("kind", IN_PROCESS)
def test_a_wrong_result_is_named_with_what_was_expected(kind, image):
    before = image.copy()
    with pytest.raises(SourceError) as caught:
        call_source(kind(), "a", image)
    assert str(caught.value).startswith(plugins.FAILING[kind])
    np.testing.assert_array_equal(image, before)
    assert image.flags.writeable


def test_a_source_may_change_its_image(image):
    """Neither the caller nor another source of a union sees the change, and nothing warns."""
    before = image.copy()
    image.flags.writeable = False  # as np.asarray of a Pillow image
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draws = plugins.DrawsIntoTheImage()
        found = call_source(UnionSource([draws, plugins.Outside()]), "a", image)
    np.testing.assert_array_equal(image, before)
    assert found.boxes.tolist() == [[0, 0, 29, 19], [0, 2, 29, 7], [1, 2, 3, 4]]


def test_a_source_that_only_reads_the_image_gets_no_copy(image):
    given = []
    source = plugins.Plugin()
    source.behave = lambda view: given.append(view) or Proposals([(0, 0, 1, 1)])
    call_source(source, "a", image)
    source.only_reads = True
    call_source(source, "a", image)
    assert [np.shares_memory(view, image) for view in given] == [False, True]


@pytest.mark.parametrize("name", ["selective-search", "opencv-selective-search", "dense"])
@pytest.mark.parametrize("limit", [1, None])
def test_built_in_sources_leave_the_image_as_it_is(image, name, limit):
    source = make_source(name, **({} if name == "dense" else {"working_pixels": limit}))
    before = image.copy()
    assert source.only_reads
    assert len(call_source(source, "a", image)) > 0
    np.testing.assert_array_equal(image, before)


def test_a_shortest_side_needs_the_pixels_of_the_whole_image():
    assert pixels_needed(make_source("selective-search")) == 500 * 500
    shortest = make_source("selective-search", min_side=40)
    assert pixels_needed(shortest) is None
    assert pixels_needed(UnionSource([shortest, make_source("selective-search")])) is None


@pytest.mark.parametrize("wrong", ["1e6", 0, -5, float("nan"), True, [100]])
def test_invalid_working_pixels_are_an_error_of_their_source(wrong):
    source = plugins.Plugin()
    source.working_pixels = wrong
    with pytest.raises(
        SourceError, match=r"^plugin: its attribute working_pixels is .* at least 1"
    ):
        pixels_needed(UnionSource([plugins.Outside(), source]))


@pytest.mark.parametrize("valid", [1, 1e6, np.int64(9), None])
def test_working_pixels_are_a_number_or_none(valid):
    source = plugins.Plugin()
    source.working_pixels = valid
    assert pixels_needed(source) == valid


def test_a_coordinate_beyond_float32_is_not_finite(image):
    source = plugins.Plugin()
    source.whole = lambda view: Proposals([(0, 0, 1e300, 5)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SourceError, match="is not finite"):
            call_source(source, "a", image)


def test_nothing_is_no_failure(image):
    found = call_source(plugins.Nothing(), "a", image)
    assert found.boxes.shape == (0, 4)
    assert Proposals([], []).boxes.shape == (0, 4)


def test_boxes_outside_are_clipped_and_counted(image):
    found = call_source(plugins.Outside(), "a", image)
    assert found.boxes.tolist() == [[0, 2, 29, 7], [1, 2, 3, 4]]  # higher score first
    assert found.scores.tolist() == [2, 1]
    assert found.clipped == 2


def test_a_box_that_only_touches_the_border_is_not_changed(image):
    exact = [(0, 0, 29, 19), (-0.005, 0, 29.005, 19)]
    source = plugins.Plugin()
    source.whole = lambda view: Proposals(exact)
    found = call_source(source, "a", image)
    np.testing.assert_array_equal(found.boxes, np.array(exact, np.float32))
    assert found.clipped == 0


def test_scores_decide_the_order_and_equal_ones_keep_theirs(image):
    source = plugins.Plugin()
    boxes = [(n, 0, n, 0) for n in range(5)]
    source.whole = lambda view: Proposals(boxes, [1, 3, 3, -np.inf, np.inf])
    assert call_source(source, "a", image).boxes[:, 0].tolist() == [4, 1, 2, 0, 3]


def test_ctrl_c_is_not_a_failure_of_the_source(image):
    source = plugins.Plugin()

    def interrupt(view):
        raise KeyboardInterrupt

    source.whole = interrupt
    with pytest.raises(KeyboardInterrupt):
        call_source(source, "a", image)


def test_parameters_are_not_read_for_every_image(image):
    """They may be slow, such as the digest of a file."""
    assert len(call_source(plugins.Undescribed(), "a", image)) == 1


def test_the_current_folder_stays(image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call_source(plugins.Moves(), "a", image)
    assert Path.cwd() == tmp_path
    make_source("grid", folder="/")
    assert Path.cwd() == tmp_path
    assert "SystemExit: 5" in describe("exits_when_imported")
    assert Path.cwd() == tmp_path


def test_a_union_checks_every_member(image, tmp_path):
    joined = call_source(UnionSource([plugins.Outside(), plugins.Plugin()]), "a", image)
    assert joined.boxes.tolist() == [[0, 2, 29, 7], [1, 2, 3, 4], [0, 0, 29, 19]]
    assert joined.clipped == 2
    with pytest.raises(SourceError, match=r"^returnsnone returned None"):
        call_source(UnionSource([plugins.Plugin(), plugins.ReturnsNone()]), "a", image)
    with StoreWriter(tmp_path / "one.proposals", Provenance("x")) as writer:
        writer.add("a", Proposals([(3, 3, 4, 4)]))
        writer.finish()
    parameters = {"precomputed": {"file": tmp_path / "one.proposals"}}
    found = call_source(make_source("precomputed+plugin", **parameters), "a", image)
    assert found.boxes.tolist() == [[3, 3, 4, 4], [0, 0, 29, 19]]


class Reversed:
    """The boxes of another source in the opposite order, with scores."""

    name, version, thread_safe = "reversed", "1", True

    def __init__(self, source):
        self.source, self.parameters = source, {}

    def propose(self, image):
        raise AssertionError("call_source calls the other source itself")

    def reorder(self, proposals, image):
        return Proposals(proposals.boxes[::-1], np.arange(len(proposals), 0, -1))


def test_a_file_has_the_boxes_that_are_completely_inside_a_window(image, tmp_path):
    """Also in a union and where its boxes are reordered; other sources see the window alone."""
    window = Window(8, 5, 10, 12, 30, 20)  # columns 8 to 17, rows 5 to 16
    boxes = [(8, 5, 17, 16), (7, 5, 17, 16), (8, 4, 9, 9), (9, 6, 18, 16), (9.5, 6, 17, 17),
             (9.5, 6, 11, 8), (0, 0, 29, 19)]  # fmt: skip
    with StoreWriter(tmp_path / "one.proposals", Provenance("x")) as writer:
        writer.add("a", Proposals(boxes))
        writer.finish()
    file = make_source("precomputed", file=tmp_path / "one.proposals")
    part, inside = window.pixels_of(image), [[0, 0, 9, 11], [1.5, 1, 3, 3]]
    np.testing.assert_array_equal(part, image[5:17, 8:18])
    assert call_source(file, "a", part, window).boxes.tolist() == inside
    assert window.original(np.array(inside, np.float32)).tolist() == [
        list(boxes[0]),
        list(boxes[5]),
    ]
    assert call_source(Reversed(file), "a", part, window).boxes.tolist() == inside[::-1]
    both = UnionSource([file, plugins.Outside(), plugins.Plugin()])
    found = call_source(both, "a", part, window).boxes.tolist()
    assert found[:2] == inside
    assert [0, 0, 9, 11] in found
    assert max(box[2] for box in found) <= 9
    assert call_source(plugins.Plugin(), "a", part, window).boxes.tolist() == [[0, 0, 9, 11]]


def test_only_declared_sources_are_thread_safe():
    dense, search = make_source("dense"), make_source("selective-search")
    assert is_thread_safe(dense)
    assert is_thread_safe(search)
    assert is_thread_safe(UnionSource([dense, search]))
    assert is_thread_safe(plugins.Safe())
    assert not is_thread_safe(plugins.Plugin())
    assert not is_thread_safe(UnionSource([dense, plugins.Plugin()]))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("exitswhencreated", "source 'exitswhencreated' cannot be created (SystemExit: 7)"),
        ("undescribed", "its parameters must be a dictionary of JSON values (RuntimeError: not d"),
        ("notjson", "its parameters must be a dictionary of JSON values (TypeError: Object of ty"),
        ("nosource", "source 'nosource' must have name, version, parameters and propose(image)"),
        ("not_callable", "proposal source 'not_callable' is not a class or function (TypeError"),
        ("not_there", "proposal source 'not_there' cannot be loaded (ModuleNotFoundError: No mo"),
        ("exits_when_imported", "source 'exits_when_imported' cannot be loaded (SystemExit: 5)"),
    ],
)
def test_a_source_that_cannot_be_created_is_one_error(name, message):
    with pytest.raises(InputError) as caught:
        make_source(name)
    assert message in str(caught.value)
    assert list_sources()[0].name == "selective-search"  # the list is complete all the same


def describe(name: str) -> str:
    return next(info.summary for info in list_sources() if info.name == name)


def test_an_object_is_checked_like_a_named_source():
    with pytest.raises(InputError, match="source 'NotJson': its parameters must be"):
        check_source(plugins.NotJson())
    source = plugins.Plugin()
    assert check_source(source) is source


def test_a_rejected_parameter_is_the_message_of_the_source():
    with pytest.raises(InputError, match=r"cannot be created \(ValueError: cells must be at le"):
        make_source("grid", cells=0)
    with pytest.raises(MisuseError, match="choose fast or quality"):
        make_source("selective-search", mode="x")
    with pytest.raises(InputError, match=r"source 'selective-search' cannot be created \(TypeErr"):
        make_source("selective-search", min_side="a")
    with pytest.raises(MisuseError, match="its parameters: cells=2"):
        make_source("grid", name="x")


def test_parameters_as_text():
    texts = ("cells=8", "mode=quality", "names=[1, 2]", "cells=9", "empty=", "path=a=b")
    assert parse_parameters(texts) == {
        "cells": 9, "mode": "quality", "names": [1, 2], "empty": "", "path": "a=b"
    }  # fmt: skip
    for text in ("cells", "=8"):
        with pytest.raises(MisuseError, match="must be NAME=VALUE"):
            parse_parameters([text])


def test_a_removed_current_folder_is_no_error(image, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert len(call_source(plugins.Plugin(), "a", image)) == 1
    os.chdir(tmp_path)
