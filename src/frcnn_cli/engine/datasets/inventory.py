"""Which data sets lie where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from frcnn_cli.engine.datasets.layout import Layout
from frcnn_cli.engine.datasets.layouts import layouts_in
from frcnn_cli.engine.datasets.locate import KNOWN_NAMES, data_roots, locate
from frcnn_proposals.errors import InputError, MisuseError


@dataclass(frozen=True)
class FoundDataset:
    """name: what to call it on a command line; splits: each with whether it is annotated.

    problem: why its splits cannot be told, else None.
    """

    name: str
    kind: str
    root: Path
    splits: dict[str, bool]
    problem: str | None = None


def list_datasets(data_root: Path | None = None) -> tuple[FoundDataset, ...]:
    """Every data set under the folders that find_dataset looks in, the known names first.

    A name that more than one folder has is listed once, where it would be found.
    """
    found: dict[Path, FoundDataset] = {}
    names = [*KNOWN_NAMES]
    for root in data_roots(data_root):
        if root.is_dir():
            names += [entry.name for entry in sorted(root.iterdir()) if layouts_in(entry)]
    for name in dict.fromkeys(names):
        try:
            layout = locate(name, data_root)[0].layout
        except MisuseError:
            continue
        found.setdefault(layout.root.resolve(), _described(name, layout))
    return tuple(found.values())


def _described(name: str, layout: Layout) -> FoundDataset:
    try:
        return FoundDataset(name, layout.kind, layout.root, dict(layout.splits()))
    except InputError as error:
        return FoundDataset(name, layout.kind, layout.root, {}, str(error))
