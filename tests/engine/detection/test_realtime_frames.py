"""Frames in real time: none is read before it can be processed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from frcnn_cli.engine.detection.videos import run
from frcnn_cli.engine.detection.videos.frames import Frame
from frcnn_cli.engine.detection.videos.pace import Pace
from frcnn_cli.engine.proposals.source_calls import SourceCalls
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.errors import InputError
from frcnn_proposals.sources.registry import make_source


@pytest.mark.parametrize("name", ["dense", "tracked"])
def test_a_frame_does_not_wait_for_the_next_one(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The next one may arrive much later: a camera can stall."""
    read: list[int] = []

    def camera() -> Iterator[Frame]:
        for index in range(3):
            read.append(index)
            yield Frame(index, float(index), np.zeros((48, 64, 3), np.uint8))
        raise InputError("unplugged")

    monkeypatch.setattr(run, "detect_in_tiles", lambda model, image, *_: image)
    source = make_source(name)
    calls = SourceCalls(source, is_stream=True)
    ahead = run.frames_ahead(source, Pace(realtime=True))
    found = run.detect_frames(None, camera(), calls, DetectSettings(), ahead)  # type: ignore[arg-type]
    for index in range(3):
        assert next(found)[0].index == index
        assert read == list(range(index + 1))
    with pytest.raises(InputError, match="unplugged"):
        next(found)
