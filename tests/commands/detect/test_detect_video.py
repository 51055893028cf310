"""`frcnn detect` on videos: complete, truncated, hostile and interrupted ones."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from interrupted_videos import interrupt

from frcnn_cli.cli import cli
from frcnn_cli.engine.detection.videos import frames as video_module
from frcnn_cli.engine.detection.videos.frames import Video, is_video, opened_video
from frcnn_cli.engine.detection.videos.writer import video_file
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_proposals.errors import InputError
from frcnn_proposals.files import whole_file

WIDTH, HEIGHT, RATE = 96, 64, 12.5


def write_video(path: Path, frames: int, codec: str = "MJPG") -> Path:
    """Write a video of a red square that moves to the right by 4 pixels per frame."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), RATE, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for index in range(frames):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[20:40, 4 * index % WIDTH :][:, :16] = (0, 0, 250)  # red, in BGR
        writer.write(image)
    writer.release()
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained model and a video."""
    folder = tmp_path_factory.mktemp("video")
    small = Preprocessing(scale=64, max_size=120)
    torch.manual_seed(0)  # with some seeds, the untrained model has no detections
    model = FastRCNN(Architecture("efficientnet_lite0", ("cat", "dog"), (16, 16), small))
    save_model(model, folder / "model.safetensors", {})
    write_video(folder / "whole.avi", 30)
    return folder


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    monkeypatch.delenv("DISPLAY", raising=False)


DETECT = ("--model", "model.safetensors", "--source", "dense", "--score-threshold", "0.3")


def detect(name: str, out: Path, *more: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["detect", name, "--out", str(out), *DETECT, *more])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def frames_of(path: Path) -> list[np.ndarray]:
    """The frames of a video, read with OpenCV."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    assert capture.get(cv2.CAP_PROP_FPS) == RATE
    return frames


def test_complete_video(tmp_path: Path) -> None:
    output = detect("whole.avi", tmp_path)
    assert "30 frames in" in output
    assert re.search(r"frames in [\d.]+ s: [\d.]+ (frames/s|s per frame)", output)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["whole.json", "whole.mp4"]
    frames = frames_of(tmp_path / "whole.mp4")
    assert len(frames) == 30
    assert frames[0].shape == (HEIGHT, WIDTH, 3)
    entries = json.loads((tmp_path / "whole.json").read_text())
    assert {entry["image_id"] for entry in entries} <= set(range(30))
    assert [entry["image_id"] for entry in entries] == sorted(e["image_id"] for e in entries)
    for entry in entries:
        assert entry["seconds"] == pytest.approx(entry["image_id"] / RATE, abs=1e-3)
        assert entry["category"] in ("cat", "dog")


@pytest.mark.parametrize("more", [(), ("--tile", "48")], ids=["whole", "tiles"])
def test_frames_have_the_same_detections_as_images(more: tuple[str, ...], tmp_path: Path) -> None:
    output = detect("whole.avi", tmp_path, "--json", str(tmp_path / "found.json"), *more)
    assert "not larger than a tile" not in output
    capture = cv2.VideoCapture("whole.avi")
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), capture.read()[1])
    images = [str(tmp_path / f"{index}.png") for index in range(3)]
    out = str(tmp_path / "images.json")
    result = CliRunner().invoke(cli, ["detect", *images, *DETECT, "--json", out, *more])
    assert result.exit_code == 0, result.output
    from_video = json.loads((tmp_path / "found.json").read_text())
    from_images = json.loads(Path(out).read_text())
    assert len(from_images) > 0
    for entry in from_video:
        entry.pop("seconds")
        entry["image_id"] = str(entry["image_id"])
    assert [entry for entry in from_video if entry["image_id"] in ("0", "1", "2")] == from_images


def test_frames_are_rgb() -> None:
    with opened_video("whole.avi") as (_, frames):
        red, green, blue = next(frames).image[30, 8]
    assert red > 200
    assert max(green, blue) < 60


def test_proposals_are_found_by_frame_number(tmp_path: Path) -> None:
    boxes = {f"{index}": np.array([[4.0, 4, 60, 50]]) for index in range(29)}
    np.savez(tmp_path / "boxes.npz", **boxes)
    options = ["--proposals", str(tmp_path / "boxes.npz")]
    arguments = ["detect", "whole.avi", "--out", str(tmp_path / "out"), *DETECT[:2], *options]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert "has no boxes for image '000029'" in result.output
    assert len(frames_of(tmp_path / "out" / "whole.mp4")) == 29


def test_truncated_video_ends_after_its_last_good_frame(tmp_path: Path) -> None:
    whole = Path("whole.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 2])
    output = detect(str(tmp_path / "cut.avi"), tmp_path / "out", code=1)
    assert "is truncated or damaged: it ends after" in output
    count = len(frames_of(tmp_path / "out" / "cut.mp4"))
    assert 5 < count < 25
    assert f"ends after {count} of 30 frames" in output
    json.loads((tmp_path / "out" / "cut.json").read_text())


@pytest.mark.parametrize(
    "content",
    [b"", b"no video", b"RIFF\xff\xff\xff\xffAVI LIST", b"\0\0\0\x20ftypisom" + bytes(500)],
)
def test_invalid_video_leaves_no_output(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    output = detect(str(tmp_path / "a.mp4"), tmp_path / "out", code=1)
    assert "a.mp4: cannot be read as a video" in output or "no frame can be read" in output
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("seed", range(8))
def test_damaged_videos_end_with_a_message(tmp_path: Path, seed: int) -> None:
    """With bytes changed anywhere, reading succeeds or raises InputError; all frames are valid."""
    rng = np.random.default_rng(seed)
    data = bytearray(Path("whole.avi").read_bytes())
    for place in rng.integers(0, len(data), 200):
        data[place] = rng.integers(256)
    (tmp_path / "a.avi").write_bytes(data)
    count = 0
    with (
        contextlib.suppress(InputError),
        opened_video(str(tmp_path / "a.avi")) as (_, frames),
    ):
        for frame in frames:
            assert frame.image.shape == (HEIGHT, WIDTH, 3)
            count += 1
    assert count <= 60


def test_playlists_are_not_followed(tmp_path: Path) -> None:
    """FFmpeg alone would read the files listed in a playlist."""
    target = Path("whole.avi").resolve()
    for name, text in (
        ("a.mp4", f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n"),
        ("b.mp4", f"ffconcat version 1.0\nfile {target}\n"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="cannot be read"), opened_video(str(tmp_path / name)):
            pass


class FakeCapture:
    """A capture with the properties and frames given by a test."""

    def __init__(self, frames: list[np.ndarray], **claims: float) -> None:
        self.frames, self.claims = frames, claims

    def isOpened(self) -> bool:
        return True

    def get(self, property_id: int) -> float:
        names = {3: "width", 4: "height", 5: "rate", 7: "count"}
        return self.claims[names[property_id]]

    def read(self) -> tuple[bool, Any]:
        return (True, self.frames.pop(0)) if self.frames else (False, None)

    def release(self) -> None:
        pass


@pytest.fixture
def claimed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def make(frames: list[np.ndarray] | None = None, **claims: float) -> Iterator[Any]:
        usual = {"width": 8.0, "height": 6.0, "rate": 25.0, "count": 2.0}
        fake = FakeCapture(frames or [np.zeros((6, 8, 3), np.uint8)] * 2, **{**usual, **claims})
        monkeypatch.setattr(video_module, "_capture", lambda *_: fake)
        (tmp_path / "a.mp4").touch()
        return opened_video(str(tmp_path / "a.mp4"))

    return make


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"width": 1e6, "height": 1e6}, "are not supported"),
        ({"width": 0}, "are not supported"),
        ({"width": -8, "height": -6}, "are not supported"),
        ({"height": float("nan")}, "are not supported"),
    ],
)
def test_hostile_sizes(claimed: Any, claims: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message), claimed(**claims):
        pass


def test_hostile_rates_and_counts(claimed: Any) -> None:
    for rate in (0, -1, 1e9, float("nan"), float("inf")):
        with claimed(rate=rate) as (video, _):
            assert video.rate == 25
    for count in (-(2**63), 0, 1e18, float("nan"), float("inf")):
        with claimed(count=count) as (video, frames):
            assert video.frames is None
            assert len(list(frames)) == 2


def test_frame_of_another_size_is_an_error(claimed: Any) -> None:
    frames = [np.zeros((6, 8, 3), np.uint8), np.zeros((600, 800, 3), np.uint8)]
    with claimed(frames) as (_, found):
        assert next(found).index == 0
        with pytest.raises(InputError, match="frame 1 has another size"):
            next(found)


def test_camera_video_plays_in_real_time(tmp_path: Path) -> None:
    """Two images per second at a rate of 10 frames per second, then a long pause."""
    camera = Video("camera 0", WIDTH, HEIGHT, 10.0, None, True)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    with video_file(tmp_path / "a.mp4", camera) as write:
        for index, seconds in enumerate((0.0, 0.5, 1.0, 1000.0)):
            write(video_module.Frame(index, seconds, image), image)
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 1 + 5 + 5 + 101


def test_is_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "7").mkdir()
    names = ("a.mp4", "x/A.MOV", "0", "12", "7", "a.jpg", "voc2007", "1234", "٣")
    assert [is_video(name) for name in names] == [True] * 4 + [False] * 5
    assert not is_video("0", alone=False)
    (tmp_path / "camera:7").mkdir()
    names = ("camera:0", "camera:12", "camera:7", "camera:", "camera:a", "Camera:0", "camera:-1")
    assert [is_video(name, alone=False) for name in names] == [True] * 2 + [False] * 5


def test_input_video_is_not_overwritten(tmp_path: Path) -> None:
    video = write_video(tmp_path / "drive.avi", 3).rename(tmp_path / "drive.mp4")
    before = video.read_bytes()
    assert "is also the input file" in detect(str(video), tmp_path, code=2)
    assert video.read_bytes() == before


def test_two_videos_of_one_name_at_once(tmp_path: Path) -> None:
    """The second would replace the first."""
    camera = Video("camera 0", WIDTH, HEIGHT, 10.0, None, True)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    planted = tmp_path / ".whole.partial.mp4"
    planted.symlink_to(tmp_path / "elsewhere")
    with (
        whole_file(tmp_path / "whole.json"),
        video_file(tmp_path / "whole.mp4", camera) as write,
    ):
        said = detect("whole.avi", tmp_path, code=1)
        assert "whole.mp4: another process is writing it" in " ".join(said.split())
        write(video_module.Frame(0, 0.0, picture), picture)
    assert not (tmp_path / "elsewhere").exists()
    planted.unlink()
    assert {path.name for path in tmp_path.iterdir()} == {"whole.json", "whole.mp4"}


def test_misuse(tmp_path: Path) -> None:
    assert "one video" in detect("whole.avi", tmp_path, "whole.avi", code=2)
    assert "video file not found" in detect("nowhere.mp4", tmp_path, code=1)
    assert "camera 99: not found" in detect("99", tmp_path, code=1)
    assert "camera 99: not found" in detect("camera:99", tmp_path, code=1)
    assert "one video" in detect("whole.avi", tmp_path, "camera:99", code=2)


@pytest.mark.parametrize("number", ["0", "600", "1200"])
def test_a_number_among_other_inputs_is_no_camera(tmp_path: Path, number: str) -> None:
    """It is usually the second value of an option, as in --scales 480 600."""
    said = " ".join(detect("up.jpg", tmp_path, "--scales", "480", number, code=2).split())
    assert f"{number}: no file or folder of this name" in said
    assert "--scales 480,600" in said
    assert "camera:0" in said


def test_ctrl_c_leaves_a_playable_video(tmp_path: Path) -> None:
    write_video(tmp_path / "long.avi", 3000)
    out = tmp_path / "out"
    output = interrupt(out, str(tmp_path / "long.avi"), *DETECT, written=20_000)
    assert sorted(path.name for path in out.iterdir()) == ["long.json", "long.mp4"]
    count = len(frames_of(out / "long.mp4"))
    assert 0 < count < 3000
    assert f"Interrupted after {count} frames" in output
    json.loads((out / "long.json").read_text())
