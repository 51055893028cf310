"""What is written replaces nothing that is no file of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import check_writable, refuse_to_replace, write_whole
from frcnn_proposals.reading import open_file, read_bytes


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("far/real.json")
    write_whole(tmp_path / "link.json", b"new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "far" / "real.json").read_text() == "new"


def test_a_pipe_is_neither_replaced_nor_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for write in (check_writable, lambda path: write_whole(path, b"new")):
        with pytest.raises(InputError, match=r"pipe: .* not a file"):
            write(pipe)
    for read in (open_file, read_bytes):
        with pytest.raises(OSError, match="not a file"):
            read(pipe)
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", ["x" * 300, "loop/x.json"])
def test_a_name_that_cannot_be_is_said_before_the_work(name: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match="cannot be written"):
        check_writable(tmp_path / name)


def test_a_long_name_that_can_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250)
    check_writable(path)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == [path.name]


def test_what_is_read_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("precious")
    (tmp_path / "b").symlink_to("a")
    refuse_to_replace(tmp_path / "a", tmp_path / "c")
    refuse_to_replace("0", tmp_path / "a")  # a camera is no file
    for written in ("a", "b"):
        with pytest.raises(MisuseError, match="is the file that is read"):
            refuse_to_replace(tmp_path / "a", tmp_path / written)
