"""`frcnn detect --every` and `--realtime`, and cameras at an address."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from interrupted_videos import interrupt

from frcnn_cli.cli import cli
from frcnn_cli.engine.detection.videos import pace as pace_module
from frcnn_cli.engine.detection.videos import run as run_module
from frcnn_cli.engine.detection.videos.frames import (
    Video,
    is_address,
    is_video,
    opened_video,
)
from frcnn_cli.engine.detection.videos.pace import Newest, Pace
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_proposals.errors import InputError, MisuseError

WIDTH, HEIGHT, RATE, FRAMES = 96, 64, 12.5, 30
DETECT = ("--model", "model.safetensors", "--score-threshold", "0.3")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained model and a video."""
    folder = tmp_path_factory.mktemp("pace")
    small = Preprocessing(scale=64, max_size=120)
    torch.manual_seed(0)
    model = FastRCNN(Architecture("efficientnet_lite0", ("cat", "dog"), (16, 16), small))
    save_model(model, folder / "model.safetensors", {})
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(folder / "a.avi"), codec, RATE, (WIDTH, HEIGHT))
    for index in range(FRAMES):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[20:40, 2 * index :][:, :16] = (0, 0, 250)
        writer.write(image)
    writer.release()
    return folder


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


class Clock:
    """A clock that only moves when somebody sleeps or works."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace_module, "time", clock)
    return clock


def detect(out: Path, *more: str, source: str = "dense", code: int = 0) -> str:
    arguments = ["detect", "a.avi", "--out", str(out), *DETECT, "--source", source, *more]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def entries(path: Path) -> list[dict[str, object]]:
    return json.loads(path.read_text())  # type: ignore[no-any-return]


def test_every_fourth_frame(tmp_path: Path) -> None:
    detect(tmp_path / "all")
    assert "8 frames in" in detect(tmp_path, "--every", "4")
    found = entries(tmp_path / "a.json")
    chosen = [each for each in entries(tmp_path / "all" / "a.json") if each["image_id"] % 4 == 0]  # type: ignore[operator]
    assert len(found) > 0
    assert found == chosen
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 8
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(RATE / 4, abs=0.01)


def test_a_slow_detector_drops_frames(clock: Clock) -> None:
    """With 0.2 s per frame and 0.08 s between frames, computed by hand."""
    taken = []
    with opened_video("a.avi", Pace(realtime=True)) as (_, frames):
        for frame in frames:
            assert frame.image.shape == (HEIGHT, WIDTH, 3)
            taken.append(frame.index)
            clock.now += 0.2001
    assert taken == [0, 2, 5, 7, 10, 12, 15, 17, 20, 22, 25, 27]
    assert frames.dropped == FRAMES - len(taken)


def test_frames_that_every_skips_are_not_dropped_ones(clock: Clock) -> None:
    taken = []
    with opened_video("a.avi", Pace(3, realtime=True)) as (_, frames):
        for frame in frames:
            taken.append(frame.index)
            clock.now += 0.5001
    assert taken == [0, 6, 12, 18, 24]
    assert frames.dropped == 5  # 3, 9, 15, 21 and 27


def test_a_fast_detector_waits_for_the_frames(clock: Clock) -> None:
    with opened_video("a.avi", Pace(realtime=True)) as (_, frames):
        for frame in frames:
            assert clock.now - 100 == pytest.approx(frame.index / RATE)
    assert frames.dropped == 0


@pytest.mark.parametrize("source", ["dense", "tracked"])
def test_dropped_frames_are_counted(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    original, detected = run_module.detect_in_tiles, []

    def slow(*arguments: object) -> object:
        clock.now += 0.2001
        detected.append(arguments)
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(run_module, "detect_in_tiles", slow)
    said = detect(tmp_path, "--realtime", source=source)
    assert len(detected) == 12  # as in test_a_slow_detector_drops_frames
    assert "12 frames in" in said
    assert f", {FRAMES - 12} frames dropped" in said
    # The output plays as long as the input.
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert 26 <= capture.get(cv2.CAP_PROP_FRAME_COUNT) <= FRAMES
    assert capture.get(cv2.CAP_PROP_FPS) == RATE


def test_two_runs_with_a_source_that_remembers_are_equal(tmp_path: Path) -> None:
    """A video is not resumed: the same command starts from the first frame."""
    for out in ("first", "second"):
        detect(tmp_path / out, source="tracked")
    first, second = ((tmp_path / out / "a.json").read_bytes() for out in ("first", "second"))
    assert first == second
    assert len(json.loads(first)) > 0


def test_the_newest_frame_of_a_camera() -> None:
    read, go = threading.Event(), threading.Event()

    def camera() -> Iterator[int]:
        yield from range(5)
        read.set()
        go.wait(60)
        yield 5
        raise InputError("unplugged")

    newest = Newest(camera())
    first = newest.take(lambda: False)
    assert first is not None
    assert read.wait(60)
    assert first == 4 or newest.take(lambda: False) == 4
    assert newest.dropped == 3 + (first == 4)
    assert newest.take(lambda: True) is None  # stopped while the camera stalls
    go.set()
    assert newest.take(lambda: False) == 5
    with pytest.raises(InputError, match="unplugged"):
        newest.take(lambda: False)
    assert newest.close()


def test_a_camera_that_stalls_does_not_block_the_end() -> None:
    stalled = threading.Event()

    def camera() -> Iterator[int]:
        stalled.wait(60)
        yield 0

    newest = Newest(camera())
    assert newest.take(lambda: True) is None
    assert not newest.close()
    stalled.set()


def test_misuse(tmp_path: Path) -> None:
    assert "0 is not in the range" in detect(tmp_path, "--every", "0", code=2)
    for given in (("--every", "2"), ("--realtime",)):
        result = CliRunner().invoke(cli, ["detect", str(tmp_path), *given])
        assert result.exit_code == 2
        assert "apply to a video or a camera" in " ".join(result.output.split())
    with pytest.raises(MisuseError, match="every is 0"):
        Pace(0)


@pytest.mark.parametrize(
    ("address", "stem"),
    [
        ("rtsp://me:secret@cam.example:554/live/1?key=secret", "rtsp-cam.example-554-live-1"),
        ("HTTP://a:secret/b@host/video.mjpg#secret", "HTTP-host-video.mjpg"),
        ("http://me:secr?et@host/x", "http-host-x"),
    ],
)
def test_addresses_are_shown_without_passwords(address: str, stem: str) -> None:
    from frcnn_cli.engine.detection.videos.frames import _shown

    assert is_video(address)
    assert is_video(address, alone=False)
    shown = _shown(address)
    assert "secret" not in shown
    assert "secr" not in shown
    assert Video(shown, 1, 1, 1.0, None, True).stem == stem


def test_files_are_not_addresses() -> None:
    for name in ("file:///etc/passwd", "concat:a.mp4|b.mp4", "rtsp:/a", "http://"):
        assert not is_address(name)


class Camera(http.server.BaseHTTPRequestHandler):
    """Motion JPEG, without an end."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        for index in range(10_000):
            image = np.full((HEIGHT, WIDTH, 3), index % 256, np.uint8)
            data = cv2.imencode(".jpg", image)[1].tobytes()
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + data + b"\r\n")
            except OSError:
                return
            time.sleep(0.01)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def camera() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://me:secret@127.0.0.1:{server.server_port}/live.mjpg"
    server.shutdown()


def test_ctrl_c_ends_a_camera_with_everything_saved(tmp_path: Path, camera: str) -> None:
    out = tmp_path / "out"
    output = interrupt(out, camera, "--realtime", *DETECT, "--source", "tracked", written=2_000)
    port = camera.rpartition(":")[2].partition("/")[0]
    stem = f"http-127.0.0.1-{port}-live.mjpg"
    assert sorted(path.name for path in out.iterdir()) == [f"{stem}.json", f"{stem}.mp4"]
    assert cv2.VideoCapture(str(out / f"{stem}.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) > 0
    assert "frames dropped" in output
    assert "Interrupted after" in output
    assert "secret" not in output
    json.loads((out / f"{stem}.json").read_text())


def test_an_address_where_nothing_answers(tmp_path: Path) -> None:
    address = "http://me:secret@127.0.0.1:9/x"
    result = CliRunner().invoke(cli, ["detect", address, "--out", str(tmp_path), *DETECT])
    assert result.exit_code == 1
    assert "http://127.0.0.1:9/x: cannot be opened as a camera" in " ".join(result.output.split())
    assert "secret" not in result.output


def test_an_address_does_not_lead_to_files(tmp_path: Path, home: Path) -> None:
    """FFmpeg alone would follow a playlist to a file of this machine."""

    class Playlist(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"ffconcat version 1.0\nfile {home / 'a.avi'}\n".encode())

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Playlist)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with (
        pytest.raises(InputError, match="cannot be opened as a camera"),
        opened_video(f"http://127.0.0.1:{server.server_port}/list.txt"),
    ):
        pass
    server.shutdown()
