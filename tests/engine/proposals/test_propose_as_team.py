"""Proposals of several processes, of which this one is the first."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from frcnn_cli.engine.distributed.team import Team
from frcnn_cli.engine.proposals import propose as propose_module
from frcnn_cli.engine.proposals import workers as workers_module
from frcnn_cli.engine.proposals.propose import propose
from frcnn_cli.engine.proposals.run import ProposeResult
from frcnn_proposals.errors import InputError
from frcnn_proposals.sources.dense import DenseBoxes
from frcnn_proposals.store.parts import part_path
from frcnn_proposals.store.reader import open_store


class OnTwoMachines(Team):
    """The first of two processes; the part of the second is not on a disk of this machine."""

    def gather(self, value: Any) -> list[Any]:
        return [value, replace(value, path=part_path(value.path.with_suffix(""), 1))]

    def of_first(self, value: Any) -> Any:
        return value

    @contextmanager
    def first_alone(self) -> Any:
        yield


def test_a_part_that_is_not_visible_is_an_error_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propose_module, "connected", lambda team: nullcontext())
    for number in range(4):
        image = PIL.Image.fromarray(np.full((20, 20, 3), number, np.uint8))
        image.save(tmp_path / f"{number}.png")
    out = tmp_path / "out" / "boxes"

    def run(team: Team) -> None:
        propose([str(tmp_path)], DenseBoxes(), out, workers=0, team=team)

    with pytest.raises(InputError, match=r"boxes\.rank1: was written by .*\n--out must be on"):
        run(OnTwoMachines(0, 2))
    assert not out.exists()
    assert len(open_store(part_path(out, 0))) == 2
    run(Team())
    assert len(open_store(out)) == 4
    assert [path.name for path in out.parent.iterdir()] == ["boxes"]


def test_processes_of_one_machine_share_its_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "usable_cores", lambda: 8)
    chosen = []

    def propose_nothing(*_: object, workers: int | None, out: Path, **__: object) -> ProposeResult:
        chosen.append(workers)
        return ProposeResult(out, 0, 0, ())

    monkeypatch.setattr(propose_module, "connected", lambda team: nullcontext())
    monkeypatch.setattr(propose_module, "propose_images", propose_nothing)
    monkeypatch.setattr(propose_module, "_check_visible", lambda path: None)
    PIL.Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    for number, team in enumerate((Team(), OnTwoMachines(0, 8, local_world=4))):
        propose([str(tmp_path)], DenseBoxes(), tmp_path / f"boxes{number}", team=team)
    assert chosen == [None, 2]  # None is one per core
