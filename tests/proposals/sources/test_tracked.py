"""The source `tracked`: boxes follow the picture, and one object knows one video only."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from frcnn_cli.cli import cli
from frcnn_cli.engine.proposals.source_calls import SourceCalls
from frcnn_proposals.base import is_per_stream
from frcnn_proposals.checks import check_proposals
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.sources.motion import Motion, View, find_motion
from frcnn_proposals.sources.registry import list_sources, make_source
from frcnn_proposals.sources.selective_search import SelectiveSearch
from frcnn_proposals.sources.tracked import Tracked

WIDTH, HEIGHT = 320, 240


@pytest.fixture(scope="module")
def world() -> np.ndarray:
    """A large picture of coloured discs, of which frames show a part."""
    generator = np.random.default_rng(0)
    picture = np.full((600, 800, 3), 128, np.uint8)
    for _ in range(400):
        x, y, radius = generator.integers(0, (800, 600, 40)).tolist()
        cv2.circle(picture, (x, y), 3 + radius, generator.integers(0, 256, 3).tolist(), -1)
    return picture


def seen(world: np.ndarray, x: int, y: int) -> np.ndarray:
    return np.ascontiguousarray(world[y : y + HEIGHT, x : x + WIDTH])


def pan(world: np.ndarray, frames: int) -> list[np.ndarray]:
    """The window moves by (7, -4) pixels per frame: the picture by (-7, 4)."""
    return [seen(world, 100 + 7 * index, 200 - 4 * index) for index in range(frames)]


def as_set(boxes: np.ndarray) -> set[tuple[float, ...]]:
    return set(map(tuple, boxes.tolist()))


def test_boxes_move_with_the_picture(world: np.ndarray) -> None:
    source = Tracked()
    first, second, third = (source.propose(frame).boxes for frame in pan(world, 3))
    grid = as_set(first) & as_set(second) & as_set(third)
    followed = 0
    for box in as_set(first) - grid:
        x1, y1, x2, y2 = box
        if x1 >= 20 and y2 < HEIGHT - 20 and x2 < WIDTH - 1 and y1 > 0:
            expected = np.array([x1 - 14, y1 + 8, x2 - 14, y2 + 8])
            assert np.abs(third - expected).max(axis=1).min() <= 1, box
            followed += 1
    assert followed > 100


def test_boxes_grow_when_the_picture_does(world: np.ndarray) -> None:
    frame = seen(world, 200, 150)
    matrix = cv2.getRotationMatrix2D((160, 120), 0, 1.1)
    motion = find_motion(View.of(frame), View.of(cv2.warpAffine(frame, matrix, (WIDTH, HEIGHT))))
    assert motion is not None
    found = motion.moved(np.array([[110.0, 90, 210, 150]]))
    np.testing.assert_allclose(found, [[105, 87, 215, 153]], atol=1)


def test_the_view_of_a_large_frame_is_reduced(world: np.ndarray) -> None:
    large = cv2.resize(world, (1600, 1200))
    moved = np.roll(large, (8, 20), (0, 1))
    motion = find_motion(View.of(large), View.of(moved))
    assert motion is not None
    assert View.of(large).grey.shape == (240, 320)
    found = motion.moved(np.array([[600.0, 400, 900, 800]]))
    np.testing.assert_allclose(found, [[620, 408, 920, 808]], atol=2)


def test_an_object_moves_on_its_own(world: np.ndarray) -> None:
    """The picture stands still; a patch of another one moves over it by (9, 5)."""
    patch, frames = world[400:460, 500:580], []
    for index in range(2):
        frame = seen(world, 100, 100)
        frame[60 + 5 * index :, 80 + 9 * index :][:60, :80] = patch
        frames.append(frame)
    motion = find_motion(*map(View.of, frames))
    assert motion is not None
    moved, still = motion.moved(np.array([[80.0, 60, 160, 120], [200, 20, 300, 120]]))
    np.testing.assert_allclose(moved, [89, 65, 169, 125], atol=2)
    np.testing.assert_allclose(still, [200, 20, 300, 120], atol=1)


def test_boxes_with_few_corners_move_with_the_picture() -> None:
    motion = Motion(np.eye(2), np.array([3.0, 4]), np.array([[5.0, 5], [6, 6]]), np.full((2, 2), 9))
    np.testing.assert_allclose(motion.moved(np.array([[0.0, 0, 10, 20]])), [[3, 4, 13, 24]])


def test_a_search_every_few_frames_and_after_a_cut(
    world: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[int] = []
    frames = pan(world, 7) + [seen(world, 450, 350) for _ in range(3)]
    original = SelectiveSearch.propose

    def counted(self: SelectiveSearch, image: np.ndarray) -> Any:
        searched.append(next(i for i, frame in enumerate(frames) if frame is image))
        return original(self, image)

    monkeypatch.setattr(SelectiveSearch, "propose", counted)
    source = Tracked(every=3)
    for frame in frames:
        source.propose(frame)
    assert searched == [0, 3, 6, 7]


def test_a_frame_with_a_search_does_not_depend_on_earlier_ones(world: np.ndarray) -> None:
    frames = pan(world, 4)
    source = Tracked(every=3)
    found = [source.propose(frame).boxes for frame in frames]
    np.testing.assert_array_equal(found[3], Tracked().propose(frames[3]).boxes)
    # One that starts in the middle does not know the boxes of the frames before.
    assert as_set(found[2]) != as_set(Tracked().propose(frames[2]).boxes)


def test_the_same_frames_give_the_same_boxes(world: np.ndarray) -> None:
    first, second = (
        [source.propose(frame).boxes for frame in pan(world, 6)]
        for source in (Tracked(), Tracked())
    )
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_two_streams_of_one_source_share_nothing(world: np.ndarray) -> None:
    """Interleaved, each stream gets the boxes that it gets alone."""
    source = Tracked()
    streams = [pan(world, 4), pan(world[::-1, ::-1], 4)]
    alone = [[boxes.propose(frame).boxes for frame in frames]
             for frames, boxes in zip(streams, (Tracked(), Tracked()), strict=True)]  # fmt: skip
    calls = [SourceCalls(source, is_stream=True) for _ in streams]
    for index in range(4):
        for call, frames, expected in zip(calls, streams, alone, strict=True):
            np.testing.assert_array_equal(call("", frames[index]).boxes, expected[index])
    assert pickle.dumps(source) == pickle.dumps(Tracked())


@pytest.mark.parametrize("name", ["tracked", "tracked+dense"])
def test_images_are_rejected(name: str) -> None:
    source = make_source(name)
    assert is_per_stream(source)
    with pytest.raises(MisuseError, match="is for videos and cameras, not for images"):
        SourceCalls(source)
    SourceCalls(source, is_stream=True).close()


def test_a_source_that_orders_the_boxes_of_another_one(world: np.ndarray) -> None:
    class Ordered:
        name, version, source = "ordered", "1", Tracked()

        def reorder(self, proposals: Any, image: Any) -> Any:
            return proposals

    assert is_per_stream(Ordered())  # type: ignore[arg-type]
    assert not is_per_stream(SelectiveSearch())


def test_commands_on_images_reject_it(tmp_path: Path, world: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), world)
    out = str(tmp_path / "a.proposals")
    arguments = ["propose", str(tmp_path / "a.png"), "--source", "tracked", "--out", out]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2, result.output
    assert "is for videos and cameras" in " ".join(result.output.split())
    assert not Path(out).exists()


def test_frames_without_corners_and_of_other_sizes(world: np.ndarray) -> None:
    source = Tracked()
    shapes = [(1, 1), (2, 3), (40, 30), (40, 30), (240, 320), (7, 500)]
    for height, width in shapes:
        found = source.propose(np.full((height, width, 3), 90, np.uint8))
        check_proposals(found, width, height)
        assert (found.boxes == [0, 0, width - 1, height - 1]).all(axis=1).any()
    for frame in (world, seen(world, 0, 0)):
        check_proposals(source.propose(frame), frame.shape[1], frame.shape[0])


@pytest.mark.parametrize("given", [{"every": 0}, {"every": 2.5}, {"max_boxes": 0}, {"every": "a"}])
def test_invalid_parameters(given: dict[str, Any]) -> None:
    with pytest.raises(MisuseError, match=f"{next(iter(given))} must be an integer of at least 1"):
        make_source("tracked", **given)


def test_working_pixels_must_be_a_number() -> None:
    with pytest.raises(MisuseError, match="working_pixels must be"):
        make_source("tracked", working_pixels=0)


def test_it_is_listed() -> None:
    (found,) = (each for each in list_sources() if each.name == "tracked")
    assert found.origin == "built in"
    assert found.parameters == ("every=5", "max_boxes=1000", "working_pixels=62500")
    assert found.summary.startswith("For videos: selective search in every few frames")
