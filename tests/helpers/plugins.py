"""Sources as other packages provide them, well-behaved and not."""

from __future__ import annotations

import os
import signal
import sys
import time
from importlib.metadata import EntryPoint
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.sources import registry


class Plugin:
    """Calls `behave` for the images whose first pixel is red, and proposes the whole image.

    When it proposes it must not find a trace of other calls: the box is found from the image alone.
    """

    version = "1"
    parameters: ClassVar[dict[str, Any]] = {}

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    def behave(self, image: Image) -> Any:
        return self.whole(image)

    def whole(self, image: Image) -> Proposals:
        height, width = image.shape[:2]
        return Proposals([(0, 0, width - 1, height - 1)])

    def propose(self, image: Image) -> Proposals:
        if image[0, 0, 0] == 255:
            return self.behave(image)  # type: ignore[no-any-return]
        return self.whole(image)


class ReturnsNone(Plugin):
    def behave(self, image: Image) -> Any:
        return None


class ReturnsArray(Plugin):
    def behave(self, image: Image) -> Any:
        return np.zeros((1, 4))


class NotANumber(Plugin):
    def behave(self, image: Image) -> Any:
        return Proposals([(0, 0, 1, 1), (0, np.nan, 5, 5)])


class Reversed(Plugin):
    def behave(self, image: Image) -> Any:
        return Proposals([(9, 0, 1, 1)])


class Exits(Plugin):
    def behave(self, image: Image) -> Any:
        sys.exit(3)


class ExitsAtOnce(Plugin):
    def behave(self, image: Image) -> Any:
        os._exit(0)


class Killed(Plugin):
    def behave(self, image: Image) -> Any:
        os.kill(os.getpid(), signal.SIGTERM if image[0, 0, 1] else signal.SIGKILL)


class DrawsIntoTheImage(Plugin):
    """Writes past NumPy, which would respect a read-only array, in threads of the caller."""

    thread_safe = True

    def behave(self, image: Image) -> Any:
        import torch

        torch.from_numpy(image).zero_()
        return self.whole(image)


# A source, and a part of the message about the image for which it fails.
FAILING = {
    ReturnsNone: "returnsnone returned None; expected",
    ReturnsArray: "returnsarray returned an object of type ndarray; expected",
    NotANumber: "notanumber returned an invalid box: box 1 (0, nan, 5, 5) is not finite",
    Reversed: "reversed returned an invalid box: box 0 (9, 0, 1, 1) has x2 < x1",
    Exits: "exits failed (SystemExit: 3)",
    ExitsAtOnce: "exitsatonce failed: its worker process exited with code 0",
    Killed: "killed failed: its worker process was killed",
}


class Outside(Plugin):
    """Three boxes, of which one is inside, one reaches outside, and one is outside."""

    def behave(self, image: Image) -> Any:
        return Proposals([(1, 2, 3, 4), (-5, 2, 1000, 7), (-9, -9, -3, -3)], [1, 2, 3])


class Nothing(Plugin):
    def behave(self, image: Image) -> Any:
        return Proposals([])


class Counts(Plugin):
    """Knows how many frames it has got."""

    per_stream = True
    frames = 0

    def propose(self, image: Image) -> Proposals:
        self.frames += 1
        return Proposals([(0, 0, self.frames, 0)])


class Moves(Plugin):
    """Changes the current folder."""

    def behave(self, image: Image) -> Any:
        os.chdir("/")
        return self.whole(image)


class Remembers(Plugin):
    """Keeps its image on `self` while it works: correct for one call at a time."""

    def propose(self, image: Image) -> Proposals:
        self.corner = int(image[0, 0, 0])
        time.sleep(0.02)
        return Proposals([(0, 0, self.corner, os.getpid() % 1000)])


class Safe(Remembers):
    """Declares, wrongly here, that threads may share it."""

    thread_safe = True


class Grid(Plugin):
    """The cells of a grid over the image."""

    def __init__(self, cells: int = 2, folder: str = "") -> None:
        if cells < 1:
            raise ValueError("cells must be at least 1")
        self.cells, self.parameters = cells, {"cells": cells}  # type: ignore[misc]
        if folder:
            os.chdir(folder)

    def propose(self, image: Image) -> Proposals:
        x, y = (np.linspace(0, s, self.cells + 1).astype(int) for s in image.shape[1::-1])
        cells = [(a, b) for a in pairwise(x) for b in pairwise(y)]
        return Proposals([(x1, y1, x2 - 1, y2 - 1) for (x1, x2), (y1, y2) in cells])


class ExitsWhenCreated(Plugin):
    def __init__(self) -> None:
        sys.exit(7)


class Undescribed(Plugin):
    @property
    def parameters(self) -> dict[str, Any]:  # type: ignore[override]
        raise RuntimeError("not described")


class NotJson(Plugin):
    parameters: ClassVar[dict[str, Any]] = {"file": Path("weights.pt")}


class NotPicklable(Plugin):
    def __init__(self) -> None:
        self.filter = lambda box: box


class NoSource:
    name = "nosource"


not_callable = 3


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register all of them in this process, under their names in lower case."""
    names = [*(n for n, kind in globals().items() if isinstance(kind, type)), "not_callable"]
    points = [EntryPoint(n.lower(), f"{__name__}:{n}", registry.ENTRY_POINT_GROUP) for n in names]
    points.append(EntryPoint("not_there", "no_such_module:Source", registry.ENTRY_POINT_GROUP))
    points.append(EntryPoint("exits_when_imported", "exiting:Source", registry.ENTRY_POINT_GROUP))
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
