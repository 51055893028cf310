"""Parts of numbered images, and a function that computes made-up results for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from frcnn_cli.engine.distributed.team import Team
from frcnn_cli.engine.parts.folder import PartFolder, open_folder
from frcnn_cli.engine.parts.rows import Item
from frcnn_proposals.formats.parts.about import About
from frcnn_proposals.formats.parts.row import Row

ABOUT = About("detections", {"model": "a", "settings": {"top_k": 3, "scales": (1, 2)}}, ("cat",))
ITEMS = [Item(f"i{number}", f"{number}.jpg") for number in range(7)]


class Numbers:
    """A function that counts the images that it gets; the seventh fails."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def rows(self, items: Iterable[Item], threads: int | None = None) -> Iterator[Row]:
        for item in items:
            self.seen.append(item.name)
            yield row_of(item.name)


class OneOfTeam(Team):
    """A process of a team whose others have no results yet."""

    def gather(self, value: Any) -> list[Any]:
        return [value]

    def of_first(self, value: Any) -> Any:
        return value

    def first_alone(self) -> nullcontext[None]:
        return nullcontext()


def row_of(name: str) -> Row:
    if name == "i6":
        return Row(name, error=f"{name}: too bad")
    rng = np.random.default_rng(int(name[1:]))
    count = int(name[1:]) % 3
    boxes, scores = rng.random((count, 4), np.float32), rng.random(count, np.float32)
    return Row(name, boxes, scores, np.ones(count, np.int64))


def equal(first: Row, second: Row) -> bool:
    return all(
        np.array_equal(one, two) and getattr(one, "dtype", None) == getattr(two, "dtype", None)
        if isinstance(one, np.ndarray)
        else one == two
        for one, two in zip(first.values.values(), second.values.values(), strict=True)
    )


def names(folder: PartFolder) -> list[str]:
    return [part.name for part in folder.parts]


def opened(path: Path, about: About = ABOUT, items: list[Item] = ITEMS, **more: object):
    return open_folder(path, about, items, **{"format": "jsonl", "size": 3, **more})
