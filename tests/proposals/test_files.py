"""Writing files: links, pipes, invalid names, and files that are also inputs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import (
    check_writable,
    reject_same_file,
    unfinished_file,
    whole_folder,
    write_whole,
)
from frcnn_proposals.reading import open_file, read_bytes


def test_a_link_is_kept_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("far/real.json")
    write_whole(tmp_path / "link.json", b"new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "far" / "real.json").read_text() == "new"


def test_a_pipe_is_neither_replaced_nor_read(tmp_path: Path) -> None:
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
def test_an_invalid_name_is_reported_before_the_work(name: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match="cannot be written"):
        check_writable(tmp_path / name)


def test_a_long_valid_name_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250)
    check_writable(path)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == [path.name]


def test_an_input_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("precious")
    (tmp_path / "b").symlink_to("a")
    reject_same_file(tmp_path / "a", tmp_path / "c")
    reject_same_file("0", tmp_path / "a")  # a camera is not a file
    for written in ("a", "b"):
        with pytest.raises(MisuseError, match="is also the input file"):
            reject_same_file(tmp_path / "a", tmp_path / written)


def test_a_folder_appears_whole_and_deletes_no_other(tmp_path: Path) -> None:
    foreign = tmp_path / "out.partial"
    foreign.mkdir()
    (foreign / "notes").write_text("precious")
    with whole_folder(tmp_path / "new" / "out") as folder:
        (folder / "a").write_text("a")
        assert not (tmp_path / "new" / "out").exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "new" / "out").iterdir()] == ["a"]
    usual = tmp_path / "usual"
    usual.mkdir()
    assert (tmp_path / "new" / "out").stat().st_mode == usual.stat().st_mode
    with pytest.raises(MisuseError, match="already exists"), whole_folder(tmp_path / "new" / "out"):
        pass
    assert (foreign / "notes").read_text() == "precious"


def write_folder_twice(out: Path, names: list[str]) -> None:
    with whole_folder(out) as second, whole_folder(out) as first:
        for folder in (first, second):
            (folder / "name").write_text(folder.parent.name)
        names.append(first.parent.name)


def test_two_writers_of_one_folder_at_once(tmp_path: Path) -> None:
    names: list[str] = []
    with pytest.raises(MisuseError, match="created by another process"):
        write_folder_twice(tmp_path / "out", names)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "name").read_text() == names[0]


def write_and_fail(out: Path, error: type[BaseException]) -> None:
    with whole_folder(out) as folder:
        (folder / "a").write_text("a")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_folder_whose_writer_fails_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        write_and_fail(tmp_path / "out", error)
    assert list(tmp_path.iterdir()) == []


def test_unfinished_files_have_names_of_their_own(tmp_path: Path) -> None:
    foreign = tmp_path / ".a.partial.mp4"
    foreign.write_text("precious")
    killed = tmp_path / ".a.12345678.partial.mp4"  # by a process that has ended
    killed.write_text("half")
    with unfinished_file(tmp_path / "a.mp4") as partial:
        assert partial.suffix == ".mp4"
        with unfinished_file(tmp_path / "a.b.mp4"):
            pass
        with pytest.raises(InputError, match=r"a\.mp4: another process is writing it"):
            unfinished_file(tmp_path / "a.mp4").__enter__()
    assert not partial.exists()
    assert (foreign.read_text(), killed.read_text()) == ("precious", "half")
    with unfinished_file(tmp_path / "a.mp4"):
        pass
