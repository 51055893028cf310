"""Parts that several processes write, and what is left of those that were killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from numbered_parts import ITEMS, Numbers, OneOfTeam, equal, names, opened, row_of

from frcnn_cli.engine.parts.result import PartsResult
from frcnn_cli.engine.parts.rows import Item
from frcnn_cli.engine.parts.run import write_parts
from frcnn_proposals.formats.parts.about import ABOUT_FILE, part_files
from frcnn_proposals.formats.parts.files import read_part


def test_missing_parts_are_divided_evenly(tmp_path: Path) -> None:
    """What is left of a run are two parts that one process of it had."""
    items = [Item(f"i{number}", "a.jpg") for number in (0, 1, 2, 3)]
    folder = opened(tmp_path, items=items, size=1)
    for number in (1, 3):
        folder.write(folder.parts[number], [row_of(f"i{number}")])
    ranks = [write_parts(Numbers(), folder, "", OneOfTeam(rank, 2)) for rank in (1, 0)]
    assert [result.written for result in ranks] == [1, 1]


def test_the_result_of_a_team_is_that_of_all_processes(tmp_path: Path) -> None:
    one = PartsResult(tmp_path, 1, 2, 3, 19, tuple("a" * 19), {("x", "y"): 2})
    two = PartsResult(tmp_path, 4, 0, 5, 2, ("b", "c"), {("x", "y"): 3, ("z", "z"): 1})
    expected = PartsResult(
        tmp_path, 5, 2, 8, 21, (*("a" * 19), "b"), {("x", "y"): 5, ("z", "z"): 1}
    )
    assert two.with_others([one, two]) == expected


def test_files_of_killed_processes_are_removed_by_one_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = opened(tmp_path, size=1)
    left = [tmp_path / f".{name}.abcd.partial" for name in (names(folder)[0], ABOUT_FILE)]
    other = tmp_path / f".{names(folder)[0].replace('1of1', '2of2')}.abcd.partial"
    for path in (*left, other):
        path.touch()
    listed: list[Path] = []
    glob = Path.glob
    monkeypatch.setattr(
        Path, "glob", lambda self, *given: listed.append(self) or glob(self, *given)
    )
    write_parts(Numbers(), folder, "")
    assert [path.exists() for path in (*left, other)] == [False, False, True]
    assert listed == [tmp_path]


_KILLED = """
import os, signal, sys
from pathlib import Path
from numbered_parts import Numbers, opened
from frcnn_cli.engine.parts.run import write_parts
fsync, left = os.fsync, [{left}]
def killing(handle):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(handle)
os.fsync = killing
write_parts(Numbers(), opened(Path({path!r})), "")
"""


@pytest.mark.parametrize("left", [1, 2, 3, 4, 5, 6])
def test_killed_while_it_writes(left: int, tmp_path: Path) -> None:
    """SIGKILL at each fsync: of the description, of each part, and of the folder after each."""
    code = _KILLED.format(left=left, path=str(tmp_path / "out"))
    path = os.pathsep.join([str(Path(__file__).parents[2] / "helpers"), *sys.path])
    child = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, check=False
    )
    assert child.returncode == -signal.SIGKILL
    written = part_files(tmp_path / "out")
    rows = [row for part in written for row in read_part(part)]
    assert all(map(equal, rows, [row_of(item.name) for item in ITEMS]))
    function = Numbers()
    result = write_parts(function, opened(tmp_path / "out"), "")
    assert (result.written, result.reused) == (3 - len(written), len(written))
    assert not set(function.seen) & {row.image_id for row in rows}
    assert not [path for path in (tmp_path / "out").iterdir() if path.suffix == ".partial"]
