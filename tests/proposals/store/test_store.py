"""The store: what is written comes back, from every process, and nothing hostile is read."""

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


def test_what_is_written_comes_back(store):
    assert list(store) == ["a/1", "b", "c'; DROP TABLE proposals"]
    assert len(store) == 3
    np.testing.assert_array_equal(store["b"].boxes, boxes(3, 1).boxes)
    np.testing.assert_array_equal(store["b"].scores, boxes(3, 1, scored=True).scores)
    assert store["a/1"].boxes.shape == (0, 4)
    assert store["a/1"].scores is None
    assert (store.digest("b"), store.image_size("b")) == ("d", (120, 110))
    assert (store.digest("a/1"), store.image_size("a/1")) == (None, None)
    assert list(store.failures()) == [("bad", "why")]
    assert store.provenance == SOURCE


def test_ids_that_are_not_there(store):
    assert "b" in store
    assert "bad" not in store
    assert 3 not in store
    with pytest.raises(KeyError):
        store["bad"]


def test_only_one_file_remains(store):
    assert [path.name for path in store.path.parent.iterdir()] == ["s.proposals"]


def test_it_works_in_forked_and_spawned_processes(store):
    expected = store["b"].boxes.sum()
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(_sum_of_b, [store] * 4) == [expected] * 4
    assert store["b"].boxes.sum() == expected


def _sum_of_b(store: ProposalStore) -> float:
    return store["b"].boxes.sum()


def test_a_pickle_holds_no_boxes(store):
    pickled = pickle.dumps(store)
    assert len(pickled) < 500
    assert list(pickle.loads(pickled)) == list(store)


def test_boxes_are_checked_when_written(tmp_path):
    with StoreWriter(tmp_path / "s", SOURCE) as writer:
        with pytest.raises(ValueError, match="inside out"):
            writer.add("a", Proposals(np.array([[5, 0, 4, 9]])))
        with pytest.raises(ValueError, match="outside its image"):
            writer.add("a", Proposals(np.array([[0, 0, 10, 9]])), size=(10, 10))
        with pytest.raises(ValueError, match="finite"):
            writer.add("a", Proposals(np.array([[0, 0, np.nan, 9]])))


def test_nothing_under_the_final_name_until_it_is_whole(tmp_path):
    path = tmp_path / "s"
    with StoreWriter(path, SOURCE) as writer:
        writer.add("a", boxes(1))
        assert not path.exists()
    assert not path.exists()
    assert partial_path(path).exists()


def test_an_interrupted_writer_is_gone_on_with(tmp_path):
    path = tmp_path / "s"
    with StoreWriter(path, SOURCE) as writer:
        writer.add("a", boxes(1), digest="x")
    with StoreWriter(path, SOURCE) as writer:
        assert writer.digest("a") == "x"
        writer.finish()
    assert list(open_store(path)) == ["a"]


@pytest.mark.parametrize("other", [Provenance("test", "2", {"mode": "fast"}), SOURCE])
def test_another_provenance_or_no_resume_begins_anew(tmp_path, other):
    path = tmp_path / "s"
    with StoreWriter(path, SOURCE) as writer:
        writer.add("a", boxes(1), digest="x")
    with StoreWriter(path, other, resume=other is not SOURCE) as writer:
        assert writer.count() == 0
        writer.finish()
    assert open_store(path).provenance == other


def test_two_writers_at_once(tmp_path):
    with StoreWriter(tmp_path / "s", SOURCE), pytest.raises(InputError, match="another process"):
        StoreWriter(tmp_path / "s", SOURCE)


def test_seed_takes_over_all_rows(store, tmp_path):
    with StoreWriter(tmp_path / "t", SOURCE, seed=store.path) as writer:
        writer.add("new", boxes(1))
        writer.finish()
    copy = open_store(tmp_path / "t")
    assert list(copy) == [*store, "new"]
    assert list(copy.failures()) == list(store.failures())


def test_keep_only(store, tmp_path):
    with StoreWriter(tmp_path / "t", SOURCE, seed=store.path) as writer:
        writer.keep_only(["b", "bad"])
        writer.finish()
    copy = open_store(tmp_path / "t")
    assert list(copy) == ["b"]
    assert list(copy.failures()) == [("bad", "why")]


def test_kill_minus_nine_loses_nothing_that_was_written(tmp_path):
    """A child writes as fast as it can and says so; whatever it had said is there."""
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
        said = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    said = max([said, *map(int, child.stdout.read().split("\n")[:-1])])
    child.wait()
    with StoreWriter(path, SOURCE) as writer:
        assert all(writer.digest(str(index)) == str(index) for index in range(said + 1))
        writer.finish()
    kept = open_store(path)
    np.testing.assert_array_equal(kept[str(said)].boxes, np.full((500, 4), said))


HOSTILE = {
    "not there": lambda path: None,
    "text": lambda path: path.write_text("hello"),
    "empty": lambda path: path.write_bytes(b""),
    "another database": lambda path: sqlite3.connect(path).execute("CREATE TABLE x (y)"),
    "header only": lambda path: path.write_bytes(
        b"SQLite format 3\0" + bytes(52) + b"FRCP" + bytes(5000)
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_other_files_are_refused(tmp_path, kind):
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
def test_a_schema_of_its_own_is_refused(store, statement):
    change(store.path, statement)
    with pytest.raises(InputError, match="tables"):
        open_store(store.path)


def test_a_view_in_place_of_the_table_is_refused(store):
    """It would compute for ever when it is asked for an id."""
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
    change(store.path, "DROP TABLE proposals", f"CREATE VIEW proposals AS {endless}")
    with pytest.raises(InputError):
        open_store(store.path)


def test_a_newer_version_says_so(store):
    change(store.path, "PRAGMA user_version = 2")
    with pytest.raises(InputError, match="version 2"):
        open_store(store.path)


@pytest.mark.parametrize(
    "value",
    ["x'00'", "x'0000c07f0000c07f0000c07f0000c07f'", "'text'", "17", "zeroblob(24)"],
    ids=["one byte", "not numbers", "text", "a number", "six numbers"],
)
def test_bad_boxes_are_refused_by_image(store, value):
    change(store.path, f"UPDATE proposals SET boxes = {value} WHERE id = 'b'")
    with pytest.raises(InputError, match="'b'"):
        open_store(store.path)["b"]


def test_boxes_outside_their_image_are_refused(store):
    change(store.path, "UPDATE proposals SET width = 20, height = 20")
    with pytest.raises(InputError, match="outside its image"):
        open_store(store.path)["b"]


def test_provenance_that_is_none(store):
    change(store.path, "UPDATE about SET value = '[1'")
    with pytest.raises(InputError, match="damaged"):
        open_store(store.path)


def test_a_file_cut_short_is_refused(store):
    data = store.path.read_bytes()
    for size in (100, 4096, len(data) - 4096, len(data) - 1):
        cut = store.path.with_name(f"cut{size}")
        cut.write_bytes(data[:size])
        with pytest.raises(InputError, match="cut"):
            [opened[key] for opened in [open_store(cut)] for key in opened]


def test_a_file_cut_while_it_is_open_is_a_message(tmp_path):
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


def test_a_journal_beside_it_is_not_believed(store):
    """A hot journal would be played back into the file when it is opened to be written."""
    beside = store.path.with_name(store.path.name + "-journal")
    beside.write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(2000))
    before = store.path.read_bytes()
    assert len(open_store(store.path)) == 3
    assert store.path.read_bytes() == before
    assert beside.exists()


def test_the_schema_is_what_sqlite_keeps(tmp_path):
    """open_store compares the text of the schema: it must be what SQLite gives back."""
    connection = sqlite3.connect(tmp_path / "x")
    for statement in TABLES.values():
        connection.execute(statement)
    kept = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchall()
    assert [sql for (sql,) in kept] == list(TABLES.values())


@pytest.mark.long
def test_a_million_images_open_at_once(tmp_path):
    """In a fresh process: milliseconds of its own time, and little memory."""
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


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        StoreWriter(tmp_path / "file" / "s", SOURCE)


def test_a_full_disk_is_a_message(tmp_path):
    """A limit on the size of files stands for the disk."""
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


def test_reading_a_store_needs_no_other_library_than_numpy(tmp_path):
    with StoreWriter(tmp_path / "a.proposals", SOURCE) as writer:
        writer.add("a", Proposals(np.array([[0, 0, 9, 9]])))
        writer.finish()
    code = (
        "import sys; from frcnn_proposals.formats.inspect import inspect_proposals\n"
        f"assert inspect_proposals({str(tmp_path / 'a.proposals')!r}).images == 1\n"
        "print(*{name.partition('.')[0] for name in sys.modules} - {*sys.stdlib_module_names})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # What starts with the interpreter, such as an editable install's finder, has an underscore,
    # or measures the coverage of children.
    loaded = {n for n in done.stdout.split() if n[0] not in "_$" and n != "coverage"}
    assert loaded <= {"numpy", "frcnn_proposals", "sitecustomize", "usercustomize"}
