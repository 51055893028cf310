"""Archives as inputs: patterns, the order of inputs, and archives that cannot be opened."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from reporters import RecordingReporter
from tars import packed, picture

import frcnn
from frcnn_cli.engine.datasets.inputs import find_images
from frcnn_cli.engine.distributed.shard import Shard
from frcnn_proposals.archives import tar
from frcnn_proposals.archives.contents import expand_ranges
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.reading import open_file


def test_patterns_of_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(8, 12):
        packed(tmp_path / f"shards/{number:03d}.tar", (f"i{number}.png", picture(number)))
    every = ["i8", "i9", "i10", "i11"]
    for patterns in (
        ["shards/{008..011}.tar"],
        ["shards/*.tar"],
        [f"shards/{number:03d}.tar" for number in range(8, 12)],
    ):
        assert [image_id for image_id, _ in find_images(patterns)] == every
    parts = [find_images(["shards/*.tar"], shard=Shard(index, 3)) for index in (1, 2, 3)]
    assert sorted(image for part in parts for image in part) == sorted(
        find_images(["shards/*.tar"])
    )
    assert list(expand_ranges("{9..10}/{00..01}.tar"))[1:3] == ["9/01.tar", "10/00.tar"]
    for pattern in ("shards/{1..3}.tar", "x*.tar", "x.tar"):
        with pytest.raises(MisuseError, match="no archive of this name"):
            find_images([pattern])
    for pattern in ("{3..1}.tar", "{1..9999999}.tar", "{1..2}/{1..999999}.tar"):
        with pytest.raises(InputError, match="must go up"):
            find_images([pattern])


def test_archives_that_cannot_be_opened_stop_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("0.tar", "locked.tar", "1.tar"):
        packed(tmp_path / name, (f"in-{name}.png", picture(0)))
    (tmp_path / "folder.tar").mkdir()

    def opened(path: str | Path) -> Any:
        if Path(path).name == "locked.tar":
            raise PermissionError(13, "Permission denied", str(path))
        return open_file(path)

    monkeypatch.setattr(tar, "open_file", opened)
    result = frcnn.propose("*.tar", "a.proposals", source="dense", workers=0)
    assert sorted(message for _, message in result.failures) == [
        "folder.tar: is not a file; pass the images inside it",
        "locked.tar: cannot be read (Permission denied)",
    ]
    assert sorted(frcnn.read_proposals("a.proposals")) == ["in-0.tar", "in-1.tar"]


def test_inputs_of_all_kinds_stay_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    packed(tmp_path / "0.tar", ("a.png", picture(0)), ("sub/b.png", picture(1)))
    packed(tmp_path / "1.tar", ("c.png", picture(2)))
    Path("folder.tar").mkdir()
    for name in ("folder.tar/d.png", "e.png"):
        Path(name).write_bytes(picture(3))
    found = find_images(["e.png", "1.tar", "folder.tar", "0.tar/sub/b.png", "0.tar"])
    assert found == [
        ("e", "e.png"),
        ("c", "1.tar/c.png"),
        ("d", "folder.tar/d.png"),
        ("b", "0.tar/sub/b.png"),
        ("a", "0.tar/a.png"),
    ]
    for missing in ("0.tar/x.png", "x.tar/a.png"):
        with pytest.raises(MisuseError, match=f"{missing}: image file not found"):
            find_images([missing])


def test_a_shard_of_a_list_holds_no_other_path(tmp_path: Path) -> None:
    """The list is read line by line: memory grows with the shard, not with the list."""
    peaks = []
    for count in (20_000, 40_000):
        path = tmp_path / f"{count}.txt"
        path.write_text("".join(f"folder/{number:09d}.jpg\n" for number in range(count)))
        tracemalloc.start()
        found = find_images([str(path)], reporter=RecordingReporter(), shard=Shard(1, 1000))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert 0 < len(found) < count / 500
    assert peaks[1] - peaks[0] < 200_000  # 10 bytes per line of the list
