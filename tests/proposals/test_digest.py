"""What identifies a proposal file or folder without reading it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from frcnn_proposals.digest import proposal_state


@pytest.mark.parametrize("is_folder", [True, False])
def test_the_state_changes_with_every_file(tmp_path: Path, is_folder: bool) -> None:
    folder = tmp_path / "boxes"
    folder.mkdir()
    path = folder if is_folder else folder / "a.json"
    for name in ("a.json", "b.json"):
        (folder / name).write_text("[[0, 0, 1, 1]]")
    first = proposal_state(path)
    assert proposal_state(path) == first

    time = (folder / "a.json").stat().st_mtime_ns
    (folder / "a.json").write_text("[[0, 0, 1, 1]] ")
    os.utime(folder / "a.json", ns=(time, time))
    longer = proposal_state(path)
    os.utime(folder / "a.json", ns=(time, time + 1))
    later = proposal_state(path)
    assert len({first, longer, later}) == 3

    (folder / "b.json").rename(folder / "c.json")
    assert (proposal_state(path) != later) == is_folder
