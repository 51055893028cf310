"""Which layout a path is in."""

from __future__ import annotations

from pathlib import Path

from frcnn_cli.engine.datasets.layout import Layout
from frcnn_cli.engine.datasets.voc import VocLayout
from frcnn_proposals.errors import MisuseError


def layout_at(path: Path) -> Layout:
    """The data set at a path. Raises MisuseError where there is none, or more than one."""
    found = _candidates(path)
    if not found:
        raise MisuseError(
            f"{path} is not a data set that can be read.\n"
            "It should hold ImageSets/Main, Annotations and JPEGImages (VOC layout)."
        )
    if len(found) > 1:
        roots = ", ".join(str(layout.root) for layout in found)
        raise MisuseError(f"{path} holds several data sets: name one of {roots}.")
    return found[0]


def layout_inside(path: Path) -> bool:
    """Whether a path holds at least one data set."""
    return bool(_candidates(path))


def _candidates(path: Path) -> list[Layout]:
    if VocLayout.is_at(path):
        return [VocLayout(path)]
    nested = [
        folder
        for parent in (path, path / "VOCdevkit")
        if parent.is_dir()
        for folder in sorted(parent.iterdir())
        if VocLayout.is_at(folder)
    ]
    return [VocLayout(folder) for folder in nested]
