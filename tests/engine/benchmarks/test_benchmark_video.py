"""The generated video of `frcnn bench video`: its objects are where the truth says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frcnn_cli.engine.benchmarks import video
from frcnn_cli.engine.benchmarks.cases import VideoCase
from frcnn_cli.engine.benchmarks.clips import HEIGHT, WIDTH, make_clips
from frcnn_cli.engine.detection.videos import run as videos
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Dataset, GroundTruth, ImageRecord
from frcnn_cli.engine.settings import Experiment
from frcnn_proposals.errors import MisuseError

BOXES = np.array([[40, 50, 159, 119], [200, 20, 259, 139]], np.float32)
COLOURS = (250, 0, 0), (0, 0, 250)


def photograph(folder: Path, name: str, objects: int) -> ImageRecord:
    """A grey image with a red object and a blue one."""
    pixels = np.full((225, 300, 3), 120, np.uint8)
    for (x1, y1, x2, y2), colour in zip(BOXES[:objects].astype(int), COLOURS, strict=False):
        pixels[y1 : y2 + 1, x1 : x2 + 1] = colour
    Image.fromarray(pixels).save(folder / f"{name}.png")
    labels, difficult = np.arange(1, objects + 1), np.zeros(objects, bool)
    truth = GroundTruth(BOXES[:objects], labels, difficult)
    return ImageRecord(name, folder / f"{name}.png", 300, 225, truth)


def extent(mask: np.ndarray) -> list[int]:
    """The box of the pixels in a mask, with inclusive corners."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return [columns[0], rows[0], columns[-1], rows[-1]]


def test_objects_are_where_the_truth_says(tmp_path: Path) -> None:
    frames = list(make_clips([photograph(tmp_path, "a", 2)], 6))
    assert len(frames) == 6
    sizes = []
    for image, truth in frames:
        assert image.shape == (HEIGHT, WIDTH, 3)
        for box, label in zip(truth.boxes, truth.labels, strict=True):
            shown = np.abs(image.astype(int) - COLOURS[label - 1]).max(axis=2) < 60
            np.testing.assert_allclose(box, extent(shown), atol=1.5)
        sizes += [box[2] - box[0] for box in truth.boxes[:1]]
    assert len(set(sizes)) > 1  # the window zooms


def test_an_object_of_the_next_photograph_passes(tmp_path: Path) -> None:
    records = [photograph(tmp_path, "a", 1), photograph(tmp_path, "b", 0)]
    clip = list(make_clips(records, 5))[5:]
    places = []
    for image, truth in clip:
        assert truth.labels.tolist() == [1]
        assert not truth.difficult.any()
        np.testing.assert_allclose(truth.boxes[0], extent(image[:, :, 0] > 200), atol=1.5)
        places.append(tuple(truth.boxes[0, :2]))
    assert len(set(places)) == 5


def test_objects_of_which_little_is_visible_are_difficult(tmp_path: Path) -> None:
    records = [photograph(tmp_path, str(number), 2) for number in range(8)]
    found = [truth for _, truth in make_clips(records, 8)]
    cut = [bool(truth.difficult[index]) for truth in found for index in range(len(truth))]
    assert 0 < sum(cut) < len(cut) / 2


def test_every_case_sees_the_same_video(
    tmp_path: Path, small_model: FastRCNN, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = LoadedModel(small_model, Path("a.safetensors"), {}, Experiment())
    records = tuple(photograph(tmp_path, str(number), 2) for number in range(3))
    dataset = Dataset("made", "test", loaded.classes, records)
    monkeypatch.setattr(video, "find_dataset", lambda *_: dataset)
    monkeypatch.setattr(video, "open_model", lambda *_, **__: loaded)
    cases = [VideoCase("a", "selective-search"), VideoCase("b", "tracked", 64, max_proposals=5)]
    assert not small_model.architecture.selects_rois  # max_proposals is ignored then
    # So few threads and so many frames that those proposed before the time starts do not matter.
    monkeypatch.setattr(videos, "usable_cores", lambda: 2)
    found = video.benchmark_video("made", cases=cases, clips=2, frames=12)
    assert (found.frames, [each.case for each in found.results]) == (24, cases)
    for each in found.results:
        assert 0 < each.proposals_s < each.processor_s
        assert each.elapsed_s > 0
        assert each.map_area is not None
        assert 0 <= each.map_area <= 1
    with pytest.raises(MisuseError, match="more than 3 frames"):
        video.benchmark_video("made", cases=cases, clips=1, frames=3)
    other = Dataset("made", "test", ("other",), records)
    monkeypatch.setattr(video, "find_dataset", lambda *_: other)
    with pytest.raises(MisuseError, match="does not detect the classes"):
        video.benchmark_video("made", cases=cases)
