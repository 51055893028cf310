"""Writing files: links, pipes, invalid names, and files that are also inputs."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import (
    check_writable,
    reject_same_file,
    unfinished_file,
    whole_file,
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


def test_a_folder_that_cannot_be_written_is_reported_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("file", "file/folder", "file/folder/deeper"):
        with pytest.raises(InputError, match="cannot be written"):
            check_writable(tmp_path / name, is_folder=True)
    check_writable(tmp_path, is_folder=True)
    check_writable(tmp_path / "new" / "deeper", is_folder=True)
    assert os.listdir(tmp_path) == ["file"]


def test_a_long_valid_name_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250)
    check_writable(path)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == [path.name]


KILLED = """
import os, signal, sys
from pathlib import Path
from frcnn_proposals import files
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
files.write_whole(Path(sys.argv[1]), b"half")
"""


def test_the_next_writer_replaces_what_a_killed_one_left(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    child = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert child.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.read_bytes() == b"half"
    write_whole(tmp_path / "b.json", b"another")
    assert left.exists()
    write_whole(path, b"new")
    assert (sorted(os.listdir(tmp_path)), path.read_bytes()) == (["a.json", "b.json"], b"new")
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_that_was_killed_between_its_two_names_is_kept(tmp_path: Path) -> None:
    """A new name is linked first, and the temporary one removed then."""
    path = tmp_path / "a.json"
    with whole_file(path, replaces=False) as file:
        file.write(b"complete")
        (unfinished,) = tmp_path.iterdir()
    os.link(path, unfinished)
    with pytest.raises(InputError, match="exists"), whole_file(path, replaces=False) as file:
        file.write(b"other")
    assert path.read_bytes() == b"complete"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_second_writer_of_a_file_does_not_wait(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with whole_file(path) as file:
        file.write(b"first")
        write_whole(path, b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["a.json"]


SURVIVED = """
import os, signal, sys, time
from pathlib import Path
from frcnn_proposals.files import whole_file
with whole_file(Path(sys.argv[1])) as file:
    if not os.fork():
        print(os.getpid(), flush=True)
        time.sleep(600)
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_child_of_a_killed_writer_does_not_block_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with subprocess.Popen(
        [sys.executable, "-c", SURVIVED, str(path)], stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        child = int(killed.stdout.readline())
        killed.wait(60)
        try:
            write_whole(path, b"new")
        finally:
            os.kill(child, signal.SIGKILL)
    assert path.read_bytes() == b"new"


def no_locks(file: object, kind: int) -> None:
    raise OSError(errno.ENOSYS, "Function not implemented")


def test_files_are_written_where_there_are_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", no_locks)
    path = tmp_path / "a.json"
    with whole_file(path) as file:
        file.write(b"first")
        write_whole(path, b"second")
    assert path.read_bytes() == b"first"
    with pytest.raises(InputError, match="exists"), whole_file(path, replaces=False):
        pass
    with unfinished_file(tmp_path / "a.mp4") as partial:
        partial.write_bytes(b"video")
    assert os.listdir(tmp_path) == ["a.json"]


def test_where_locks_have_no_effect_no_half_file_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda file, kind: None)
    path = tmp_path / "a.json"
    with ExitStack() as second, ExitStack() as first:
        first.enter_context(whole_file(path)).write(b"first")
        file = second.enter_context(whole_file(path))
        file.write(b"second, ")
        file.flush()
        with pytest.raises(InputError, match="another process replaced its temporary file"):
            first.close()
        assert not path.exists()
        file.write(b"complete")
    assert path.read_bytes() == b"second, complete"
    assert os.listdir(tmp_path) == ["a.json"]


def test_each_machine_has_its_own_temporary_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks may not reach other machines."""
    monkeypatch.setattr(fcntl, "flock", lambda file, kind: None)
    path, here = tmp_path / "a.json", os.uname()
    with whole_file(path) as file:
        file.write(b"here")
        elsewhere = os.uname_result((here.sysname, "elsewhere", *here[2:]))
        monkeypatch.setattr(os, "uname", lambda: elsewhere)
        write_whole(path, b"elsewhere")
        assert path.read_bytes() == b"elsewhere"
    assert path.read_bytes() == b"here"


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
