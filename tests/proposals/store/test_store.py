"""The store: written content reads back in every process, and malicious files are rejected."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import ProposalStore, open_store
from frcnn_proposals.store.schema import TABLES
from frcnn_proposals.store.writer import StoreWriter, partial_path

SOURCE = Provenance("test", "1", {"mode": "fast"})


def boxes(count: int, seed: int = 0, scored: bool = False) -> Proposals:
    rng = np.random.default_rng(seed)
    low = rng.random((count, 2)) * 50
    corners = np.concatenate((low, low + rng.random((count, 2)) * 50), axis=1)
    return Proposals(corners, rng.normal(size=count) if scored else None)


@pytest.fixture
def store(tmp_path) -> ProposalStore:
    with StoreWriter(tmp_path / "s.proposals", SOURCE) as writer:
        writer.add("b", boxes(3, 1, scored=True), digest="d", size=(120, 110))
        writer.add("a/1", boxes(0))
        writer.add("c'; DROP TABLE proposals", boxes(2, 2))
        writer.add_failure("bad", "why", digest="e")
        writer.finish()
    return open_store(tmp_path / "s.proposals")


def test_written_content_reads_back(store):
    assert list(store) == ["a/1", "b", "c'; DROP TABLE proposals"]
    assert len(store) == 3
    written = boxes(3, 1, scored=True)
    order = written.scores.argsort()[::-1]
    np.testing.assert_array_equal(store["b"].boxes, written.boxes[order])
    np.testing.assert_array_equal(store["b"].scores, written.scores[order])
    assert store["a/1"].boxes.shape == (0, 4)
    assert store["a/1"].scores is None
    assert (store.digest("b"), store.image_size("b")) == ("d", (120, 110))
    assert (store.digest("a/1"), store.image_size("a/1")) == (None, None)
    assert list(store.failures()) == [("bad", "why")]
    assert store.provenance == SOURCE


def test_unknown_ids(store):
    assert "b" in store
    assert "bad" not in store
    assert 3 not in store
    with pytest.raises(KeyError):
        store["bad"]


def test_only_one_file_remains(store):
    assert [path.name for path in store.path.parent.iterdir()] == ["s.proposals"]


def test_a_store_works_in_forked_and_spawned_processes(store):
    expected = store["b"].boxes.sum()
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(_sum_of_b, [store] * 4) == [expected] * 4
    assert store["b"].boxes.sum() == expected


def _sum_of_b(store: ProposalStore) -> float:
    return store["b"].boxes.sum()


def test_a_pickle_contains_no_boxes(store):
    pickled = pickle.dumps(store)
    assert len(pickled) < 500
    assert list(pickle.loads(pickled)) == list(store)


def test_boxes_are_checked_when_written(tmp_path):
    with StoreWriter(tmp_path / "s", SOURCE) as writer:
        with pytest.raises(ValueError, match="has x2 < x1 or y2 < y1"):
            writer.add("a", Proposals(np.array([[5, 0, 4, 9]])))
        with pytest.raises(ValueError, match="outside its image"):
            writer.add("a", Proposals(np.array([[0, 0, 10, 9]])), size=(10, 10))
        with pytest.raises(ValueError, match="finite"):
            writer.add("a", Proposals(np.array([[0, 0, np.nan, 9]])))


def test_the_final_name_appears_only_when_the_store_is_complete(tmp_path):
    path = tmp_path / "s"
    with StoreWriter(path, SOURCE) as writer:
        writer.add("a", boxes(1))
        assert not path.exists()
    assert not path.exists()
    assert partial_path(path).exists()


def test_an_interrupted_writer_is_resumed(tmp_path):
    path = tmp_path / "s"
    with StoreWriter(path, SOURCE) as writer:
        writer.add("a", boxes(1), digest="x")
    with StoreWriter(path, SOURCE) as writer:
        assert writer.digest("a") == "x"
        writer.finish()
    assert list(open_store(path)) == ["a"]


@pytest.mark.parametrize("other", [Provenance("test", "2", {"mode": "fast"}), SOURCE])
def test_another_provenance_or_no_resume_starts_again(tmp_path, other):
    path = tmp_path / "s"
    with StoreWriter(path, SOURCE) as writer:
        writer.add("a", boxes(1), digest="x")
    with StoreWriter(path, other, resume=other is not SOURCE) as writer:
        assert writer.count() == 0
        writer.finish()
    assert open_store(path).provenance == other


@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_the_place_of_the_partial_store_is_not_followed(
    tmp_path: Path, there: bool
) -> None:
    target = tmp_path / "target"
    if there:
        target.touch()
    partial_path(tmp_path / "s").symlink_to(target)
    with pytest.raises(InputError, match=r"s\.partial: is a symbolic link"):
        StoreWriter(tmp_path / "s", SOURCE)
    assert target.exists() == there
    assert not there or target.read_bytes() == b""


def test_two_writers_at_once(tmp_path):
    with StoreWriter(tmp_path / "s", SOURCE), pytest.raises(InputError, match="another process"):
        StoreWriter(tmp_path / "s", SOURCE)


def test_keep_only(tmp_path):
    with StoreWriter(tmp_path / "t", SOURCE) as writer:
        for image_id in ("a", "b", "c"):
            writer.add(image_id, boxes(1))
        for image_id in ("bad", "worse"):
            writer.add_failure(image_id, "why")
        writer.keep_only(["b", "bad"])
        writer.finish()
    copy = open_store(tmp_path / "t")
    assert list(copy) == ["b"]
    assert list(copy.failures()) == [("bad", "why")]


def test_a_killed_process_loses_nothing_that_was_written(tmp_path):
    """A child process writes images and prints each; all printed images are in the store."""
    script = textwrap.dedent(
        """
        import sys
        import numpy as np
        from pathlib import Path
        from frcnn_proposals.base import Proposals
        from frcnn_proposals.store.provenance import Provenance
        from frcnn_proposals.store.writer import StoreWriter
        writer = StoreWriter(Path(sys.argv[1]), Provenance("test", "1", {"mode": "fast"}))
        for index in range(10**6):
            writer.add(str(index), Proposals(np.full((500, 4), index)), digest=str(index))
            print(index, flush=True)
        """
    )
    path = tmp_path / "s"
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for _ in range(200):
        printed = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    printed = max([printed, *map(int, child.stdout.read().split("\n")[:-1])])
    child.wait()
    with StoreWriter(path, SOURCE) as writer:
        assert all(writer.digest(str(index)) == str(index) for index in range(printed + 1))
        writer.finish()
    store = open_store(path)
    np.testing.assert_array_equal(store[str(printed)].boxes, np.full((500, 4), printed))


HOSTILE = {
    "missing": lambda path: None,
    "text": lambda path: path.write_text("hello"),
    "empty": lambda path: path.write_bytes(b""),
    "another database": lambda path: sqlite3.connect(path).execute("CREATE TABLE x (y)"),
    "header only": lambda path: path.write_bytes(
        b"SQLite format 3\0" + bytes(52) + b"FRCP" + bytes(5000)
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_other_files_are_rejected(tmp_path, kind):
    HOSTILE[kind](tmp_path / "file")
    with pytest.raises(InputError, match="file"):
        open_store(tmp_path / "file")


def change(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW v AS SELECT 1",
        "CREATE TRIGGER t AFTER INSERT ON proposals BEGIN SELECT 1; END",
        "CREATE TABLE more (x)",
        "CREATE INDEX i ON proposals (digest)",
        "DROP TABLE failures",
    ],
)
def test_another_schema_is_rejected(store, statement):
    change(store.path, statement)
    with pytest.raises(InputError, match="tables"):
        open_store(store.path)


def test_a_view_instead_of_the_table_is_rejected(store):
    """A query of the view would never end."""
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
    change(store.path, "DROP TABLE proposals", f"CREATE VIEW proposals AS {endless}")
    with pytest.raises(InputError):
        open_store(store.path)


def test_a_newer_version_is_an_error(store):
    change(store.path, "PRAGMA user_version = 2")
    with pytest.raises(InputError, match="version 2"):
        open_store(store.path)


@pytest.mark.parametrize(
    "value",
    ["x'00'", "x'0000c07f0000c07f0000c07f0000c07f'", "'text'", "17", "zeroblob(24)"],
    ids=["one byte", "not numbers", "text", "a number", "six numbers"],
)
def test_invalid_boxes_are_rejected_with_the_image(store, value):
    change(store.path, f"UPDATE proposals SET boxes = {value} WHERE id = 'b'")
    with pytest.raises(InputError, match="'b'"):
        open_store(store.path)["b"]


def test_boxes_outside_their_image_are_rejected(store):
    change(store.path, "UPDATE proposals SET width = 20, height = 20")
    with pytest.raises(InputError, match="outside its image"):
        open_store(store.path)["b"]


def test_damaged_provenance(store):
    change(store.path, "UPDATE about SET value = '[1'")
    with pytest.raises(InputError, match="damaged"):
        open_store(store.path)


def test_a_truncated_file_is_rejected(store):
    data = store.path.read_bytes()
    for size in (100, 4096, len(data) - 4096, len(data) - 1):
        cut = store.path.with_name(f"cut{size}")
        cut.write_bytes(data[:size])
        with pytest.raises(InputError, match="cut"):
            [opened[key] for opened in [open_store(cut)] for key in opened]


def test_truncating_an_open_file_is_an_error_message(tmp_path):
    path = tmp_path / "cut.proposals"
    with StoreWriter(path, SOURCE) as writer:
        for index in range(300):
            writer.add(f"{index:03}", boxes(500, index))
        writer.finish()
    script = """
        import os, sys
        from frcnn_proposals.errors import InputError
        from frcnn_proposals.store.reader import open_store

        store = open_store(sys.argv[1])
        ids = list(store)
        for image_id in ids[:200]:
            store[image_id]
        os.truncate(sys.argv[1], os.path.getsize(sys.argv[1]) // 3)
        try:
            for image_id in ids:
                store[image_id]
        except InputError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{path}: is damaged")


def test_a_journal_next_to_the_store_is_ignored(store):
    """SQLite would write a hot journal back into a file that is opened for writing."""
    journal = store.path.with_name(store.path.name + "-journal")
    journal.write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(2000))
    before = store.path.read_bytes()
    assert len(open_store(store.path)) == 3
    assert store.path.read_bytes() == before
    assert journal.exists()


def test_the_schema_is_what_sqlite_stores(tmp_path):
    """open_store compares the text of the schema, so it must be the text that SQLite returns."""
    connection = sqlite3.connect(tmp_path / "x")
    for statement in TABLES.values():
        connection.execute(statement)
    stored = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchall()
    assert [sql for (sql,) in stored] == list(TABLES.values())


@pytest.mark.long
def test_a_million_images_open_in_milliseconds(tmp_path):
    """In a new process: milliseconds of processor time, and little memory."""
    path = tmp_path / "million"
    entry = boxes(20)
    with StoreWriter(path, SOURCE) as writer:
        for index in range(1_000_000):
            writer.add(f"{index:08}", entry, digest=f"{index:064x}", size=(500, 375))
        writer.finish()
    script = textwrap.dedent(
        """
        import sys, time
        from frcnn_proposals.store.reader import open_store

        def memory():
            lines = open("/proc/self/status").read().splitlines()
            return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])

        before, start = memory(), time.process_time()
        store = open_store(sys.argv[1])
        length = len(store)
        opened = time.process_time() - start
        for index in range(0, 1_000_000, 1000):
            assert len(store[f"{index:08}"]) == 20
        print(length, opened, memory() - before)
        """
    )
    out = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=True
    )
    length, seconds, kilobytes = map(float, out.stdout.split())
    print(f"opened in {1000 * seconds:.2f} ms; {kilobytes / 1024:.1f} MiB after 1000 images")
    assert length == 1_000_000
    assert seconds < 0.02
    assert kilobytes < 16 * 1024


def test_an_output_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        StoreWriter(tmp_path / "file" / "s", SOURCE)


def test_a_full_disk_is_an_error_message(tmp_path):
    """A limit on the size of files simulates the full disk."""
    code = textwrap.dedent(
        """
        import resource, sys
        from pathlib import Path
        import numpy as np
        from frcnn_proposals.base import Proposals
        from frcnn_proposals.errors import InputError
        from frcnn_proposals.store.provenance import Provenance
        from frcnn_proposals.store.writer import StoreWriter
        resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))
        try:
            with StoreWriter(Path(sys.argv[1]), Provenance("test")) as writer:
                for index in range(1000):
                    writer.add(str(index), Proposals(np.zeros((500, 4))))
        except InputError as error:
            print(error)
        """
    )
    out = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "s"], capture_output=True, text=True, check=True
    )
    assert "cannot be written" in out.stdout


def test_reading_a_store_needs_only_numpy(tmp_path):
    with StoreWriter(tmp_path / "a.proposals", SOURCE) as writer:
        writer.add("a", Proposals(np.array([[0, 0, 9, 9]])))
        writer.finish()
    code = (
        "import sys; from frcnn_proposals.formats.inspect import inspect_proposals\n"
        f"assert inspect_proposals({str(tmp_path / 'a.proposals')!r}).images == 1\n"
        "print(*{name.partition('.')[0] for name in sys.modules} - {*sys.stdlib_module_names})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Modules that start with the interpreter, such as the finder of an editable install, have an
    # underscore or measure coverage.
    loaded = {n for n in done.stdout.split() if n[0] not in "_$" and n != "coverage"}
    assert loaded <= {"numpy", "frcnn_proposals", "sitecustomize", "usercustomize"}


def test_sizes_of_many_images_are_read_at_once(tmp_path):
    with StoreWriter(tmp_path / "s", SOURCE) as writer, writer.batch():
        for number in range(1200):
            writer.add(f"i{number}", boxes(1), size=(90 + number, 90) if number % 2 else None)
    with StoreWriter(tmp_path / "s", SOURCE) as writer:
        writer.finish()
    found = open_store(tmp_path / "s")
    ids = [f"i{number}" for number in range(1190)]
    assert found.image_sizes([*ids, "unknown"]) == {
        f"i{number}": (90 + number, 90) for number in range(1, 1190, 2)
    }
    assert (found.image_size("i7"), found.image_size("i8")) == ((97, 90), None)
