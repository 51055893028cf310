"""Proposals of many images: stores, resuming, and failures of images and workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import PIL.Image
import pytest

from frcnn_cli.engine.datasets.inputs import find_images
from frcnn_cli.engine.distributed.shard import Shard
from frcnn_cli.engine.proposals.cache import cache_path
from frcnn_cli.engine.proposals.run import ProposeProgress, propose_images
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.sources.dense import DenseBoxes
from frcnn_proposals.store.merge import merge_stores
from frcnn_proposals.store.reader import open_store
from frcnn_proposals.store.writer import partial_path


class Logging:
    """A source whose boxes depend on the pixels, and that writes one line per call to a file."""

    name = "logging"

    def __init__(self, log: Path, version: str = "1", flavour: str = "plain") -> None:
        self.log, self.version, self.flavour = log, version, flavour

    @property
    def parameters(self) -> dict[str, str]:
        return {"flavour": self.flavour}

    def propose(self, image: Image) -> Proposals:
        with open(self.log, "a") as log:
            log.write(f"{image[0, 0].tolist()}\n")
        return Proposals(np.array([[0, 0, 3, 3], [1, 1, 2, 2 + image[0, 0, 0] % 2]]))

    def calls(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


class Trouble:
    """A source that fails in a different way for each colour."""

    name, version = "trouble", "1"
    parameters: ClassVar[dict[str, str]] = {}

    def propose(self, image: Image) -> Proposals:
        red = int(image[0, 0, 0])
        if red == 1:
            raise ValueError("an error in the source")
        if red == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        if red == 3:
            os._exit(3)
        if red == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        if red == 4:
            return Proposals(np.array([[2, 0, 1, 3]]))
        return Proposals(np.array([[0, 0, 3, 3]]))


class Unpicklable(Trouble):
    def __setstate__(self, state):
        raise RuntimeError("not here")

    def __getstate__(self):
        return {"a": 1}


def save_image(folder: Path, name: str, red: int) -> tuple[str, Path]:
    path = folder / f"{name}.png"
    PIL.Image.new("RGB", (4, 4), (red, 0, 0)).save(path)
    return name, path


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    return [save_image(folder, f"i{index}", 10 + index) for index in range(6)]


@pytest.fixture
def source(tmp_path):
    return Logging(tmp_path / "log")


def content(path: Path) -> dict[str, list]:
    store = open_store(path)
    return {image_id: store[image_id].boxes.tolist() for image_id in store}


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_image_has_its_boxes(images, source, tmp_path, workers):
    out = tmp_path / "out"
    seen: list[ProposeProgress] = []
    result = propose_images(images, source, out, workers=workers, on_progress=seen.append)
    assert (result.computed, result.reused, result.failures) == (6, 0, ())
    assert content(out) == {
        f"i{index}": [[0, 0, 3, 3], [1, 1, 2, 2 + index % 2]] for index in range(6)
    }
    assert [progress.done for progress in seen] == [1, 2, 3, 4, 5, 6]
    assert open_store(out).provenance.parameters == {"flavour": "plain"}
    assert open_store(out).image_size("i0") == (4, 4)
    assert not partial_path(out).exists()


def test_stored_images_are_not_computed_again(images, source, tmp_path):
    out = tmp_path / "out"
    propose_images(images, source, out, workers=0)
    before = out.stat()
    result = propose_images(images, source, out, workers=0)
    assert (result.computed, result.reused) == (0, 6)
    assert source.calls() == 6
    assert (out.stat().st_ino, out.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_changed_image_is_recomputed_even_with_its_old_time(images, source, tmp_path):
    out = tmp_path / "out"
    propose_images(images, source, out, workers=0)
    path = images[2][1]
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    save_image(path.parent, "i2", 99)
    os.utime(path, ns=times)
    result = propose_images(images, source, out, workers=0)
    assert (result.computed, result.reused) == (1, 5)
    assert content(out)["i2"][1] == [1, 1, 2, 3]


@pytest.mark.parametrize("change", [{"version": "2"}, {"flavour": "sour"}])
def test_changed_source_recomputes_all(images, source, tmp_path, change):
    out = tmp_path / "out"
    propose_images(images, source, out, workers=0)
    result = propose_images(images, Logging(source.log, **change), out, workers=0)
    assert (result.computed, result.reused) == (6, 0)


def test_other_images_are_removed_unless_kept(images, source, tmp_path):
    out = tmp_path / "out"
    propose_images(images, source, out, workers=0)
    propose_images(images[:2], source, out, workers=0, keep_others=True)
    assert len(open_store(out)) == 6
    propose_images(images[:2], source, out, workers=0)
    assert list(open_store(out)) == ["i0", "i1"]


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_images_are_reported_and_do_not_stop_the_others(
    images, source, tmp_path, workers
):
    folder = images[0][1].parent
    (folder / "text.png").write_text("not an image")
    bad = [("text", folder / "text.png"), ("gone", folder / "gone.png")]
    out = tmp_path / "out"
    result = propose_images([bad[0], *images, bad[1]], source, out, workers=workers)
    assert result.computed == 6
    assert [image_id for image_id, _ in result.failures] == ["gone", "text"]
    assert list(open_store(out).failures()) == list(result.failures)
    assert "text.png" in result.failures[1][1]
    # After it is fixed, it is computed; the others are already stored.
    save_image(folder, "text", 7)
    result = propose_images([bad[0], *images, bad[1]], source, out, workers=workers)
    assert (result.computed, result.reused, len(result.failures)) == (1, 6, 1)
    assert [image_id for image_id, _ in open_store(out).failures()] == ["gone"]


def test_only_a_part_of_a_store_is_created_if_all_images_fail(source, tmp_path):
    """The first process of several reads the parts of all."""
    bad = [("gone", tmp_path / "gone.png")]
    for out, stored in (("whole", None), ("part", {})):
        result = propose_images(bad, source, tmp_path / out, workers=0, stored=stored)
        assert [image_id for image_id, _ in result.failures] == ["gone"]
    assert [path.name for path in tmp_path.iterdir()] == ["part"]
    assert list(open_store(tmp_path / "part").failures()) == list(result.failures)


def test_failing_or_crashing_source_loses_only_its_image(tmp_path):
    images = [save_image(tmp_path, f"i{red}", red) for red in range(8)]
    result = propose_images(images, Trouble(), tmp_path / "out", workers=2)
    reasons = dict(result.failures)
    assert sorted(reasons) == ["i1", "i2", "i3", "i4", "i5"]
    assert "i5.png: trouble failed: its worker process was killed by the kernel" in reasons["i5"]
    assert "an error in the source" in reasons["i1"]
    assert "SIGSEGV" in reasons["i2"]
    assert "code 3" in reasons["i3"]
    assert (
        "i4.png: trouble returned an invalid box: box 0 (2, 0, 1, 3) has x2 < x1" in reasons["i4"]
    )
    assert sorted(open_store(tmp_path / "out")) == ["i0", "i6", "i7"]


def test_workers_that_cannot_start_are_an_error(images, tmp_path):
    with pytest.raises(InputError, match="not here"):
        propose_images(images, Unpicklable(), tmp_path / "out", workers=2)


def test_two_images_with_the_same_id(images, source, tmp_path):
    with pytest.raises(InputError, match="same image id 'i0'"):
        propose_images([*images, ("i0", images[1][1])], source, tmp_path / "out", workers=0)


def test_other_files_are_not_overwritten(images, source, tmp_path):
    (tmp_path / "out").write_text("precious")
    with pytest.raises(InputError, match="exists and is not a proposal store"):
        propose_images(images, source, tmp_path / "out", workers=0)
    assert (tmp_path / "out").read_text() == "precious"


def test_interrupted_run_is_resumed(images, source, tmp_path):
    out = tmp_path / "out"

    def interrupt(progress):
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        propose_images(images, source, out, workers=0, on_progress=interrupt)
    assert not out.exists()
    result = propose_images(images, source, out, workers=0)
    assert (result.computed, result.reused) == (3, 3)
    assert source.calls() == 6


SLOW_RUN = textwrap.dedent(
    """
    import os, sys, time
    from pathlib import Path
    import numpy as np
    sys.path.insert(0, sys.argv[3])
    from slow_source import Slow
    from frcnn_cli.engine.proposals.run import propose_images

    if __name__ == "__main__":
        folder, out = Path(sys.argv[1]), Path(sys.argv[2])
        images = [(path.stem, path) for path in sorted(folder.glob("*.png"))]
        propose_images(
            images, Slow(), out, workers=2,
            on_progress=lambda progress: print(progress.done, flush=True),
        )
    """
)
SLOW_SOURCE = textwrap.dedent(
    """
    import os, time
    import numpy as np
    from frcnn_proposals.base import Proposals

    class Slow:
        name, version, parameters = "slow", "1", {}

        def propose(self, image):
            with open(os.environ["PIDS"], "a") as pids:
                pids.write(f"{os.getpid()}\\n")
            time.sleep(0.05)
            return Proposals(np.array([[0, 0, 3, image[0, 0, 0] % 4]]))
    """
)


@pytest.fixture
def slow_run(tmp_path):
    """A function that starts a run of 20 images in a new process and logs its workers' ids."""
    folder, code = tmp_path / "images", tmp_path / "code"
    folder.mkdir()
    code.mkdir()
    for index in range(20):
        save_image(folder, f"i{index:02}", index)
    (code / "run.py").write_text(SLOW_RUN)
    (code / "slow_source.py").write_text(SLOW_SOURCE)
    environment = {**os.environ, "PIDS": str(tmp_path / "pids")}

    def start(out: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, code / "run.py", folder, out, code],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


def assert_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + 120
    while pids and time.monotonic() < deadline:
        pids = {pid for pid in pids if Path(f"/proc/{pid}").exists() and not _is_zombie(pid)}
        time.sleep(0.05)
    assert not pids


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_killed_run_is_resumed_with_the_same_content(slow_run, tmp_path, end):
    """No process remains, only images in progress are lost, and the result is the same."""
    whole, killed, pids = tmp_path / "whole", tmp_path / "killed", tmp_path / "pids"
    assert slow_run(whole).wait() == 0
    done = 0
    for kill_after in (1, 8):
        pids.unlink(missing_ok=True)
        run = slow_run(killed)
        for _ in range(done + kill_after):
            line = run.stdout.readline()
        run.send_signal(end)
        rest = run.stdout.read()
        assert run.wait() != 0
        assert_gone({run.pid, *map(int, pids.read_text().split())})
        done = int(([line, *rest.split()])[-1])
        assert not killed.exists()
    pids.unlink()
    assert slow_run(killed).wait() == 0
    # A killed run loses at most the current images of its two workers.
    assert 20 - done - 2 <= len(pids.read_text().split()) <= 20 - done
    assert content(killed) == content(whole)
    assert len(content(whole)) == 20


class TestInputs:
    @pytest.fixture
    def tree(self, tmp_path):
        (tmp_path / "sub" / "deep").mkdir(parents=True)
        (tmp_path / ".hidden").mkdir()
        save_image(tmp_path, "a", 1)
        save_image(tmp_path / "sub", "a", 2)
        save_image(tmp_path / "sub" / "deep", "b", 3)
        save_image(tmp_path / ".hidden", "c", 4)
        (tmp_path / "sub" / "notes.md").write_text("not an image")
        (tmp_path / "d.JPG").write_bytes(b"an image by its name")
        return tmp_path

    def test_a_folder_with_its_sub_folders(self, tree):
        found = find_images([str(tree)])
        assert [image_id for image_id, _ in found] == ["a", "d", "sub/a", "sub/deep/b"]
        assert found[2][1] == str(tree / "sub" / "a.png")

    def test_files_globs_and_lists(self, tree):
        assert find_images([str(tree / "a.png")]) == [("a", str(tree / "a.png"))]
        assert [i for i, _ in find_images([str(tree / "sub" / "**" / "*.png")])] == ["a", "b"]
        (tree / "list.txt").write_text("# two\na.png\n\nsub/deep/b.png\n")
        assert [i for i, _ in find_images([str(tree / "list.txt")])] == ["a", "b"]

    def test_an_image_in_two_inputs_is_used_once(self, tree):
        assert len(find_images([str(tree / "a.png"), str(tree / "*.png")])) == 1

    @pytest.mark.parametrize("name", ["empty", "x*.png", "gone.png", "gone", "empty.txt"])
    def test_inputs_without_images(self, tmp_path, name):
        (tmp_path / "empty").mkdir()
        (tmp_path / "empty.txt").write_text("\n")
        with pytest.raises(MisuseError, match=name.replace("*", r"\*")):
            find_images([str(tmp_path / name)])

    def test_a_dataset_has_its_own_ids(self, tiny_dataset, tmp_path):
        root = tiny_dataset.images[0].path.parent.parent
        ids = {image_id for image_id, _ in find_images([str(root)], split="trainval")}
        assert ids == {record.image_id for record in tiny_dataset.images}
        assert ids < {image_id for image_id, _ in find_images([str(root)])}

    def test_shards_are_a_partition(self):
        ids = [f"{index:06}" for index in range(1000)]
        parts = [{i for i in ids if Shard(part, 4).holds(i)} for part in (1, 2, 3, 4)]
        assert set.union(*parts) == set(ids)
        assert sum(map(len, parts)) == 1000
        assert all(200 < len(part) < 300 for part in parts)

    @pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
    def test_invalid_shards(self, text):
        with pytest.raises(MisuseError, match="I/N"):
            Shard.parse(text)


def test_merged_shards_equal_one_run(images, source, tmp_path):
    images.append(("gone", tmp_path / "gone.png"))
    parts = []
    for index in (1, 2, 3):
        chosen = [image for image in images if Shard(index, 3).holds(image[0])]
        parts.append(tmp_path / f"part{index}")
        propose_images(chosen, source, parts[-1], workers=0)
    propose_images(images, source, tmp_path / "whole", workers=0)
    result = merge_stores(parts, tmp_path / "merged")
    assert result.images == 6
    assert content(tmp_path / "merged") == content(tmp_path / "whole")
    whole, merged = open_store(tmp_path / "whole"), open_store(tmp_path / "merged")
    assert list(merged.failures()) == list(whole.failures())
    assert merged.provenance == whole.provenance
    # The next run reuses the merged store.
    assert propose_images(images, source, tmp_path / "merged", workers=0).reused == 6


def test_stores_that_cannot_be_merged(images, source, tmp_path):
    one, other, third = (tmp_path / name for name in ("one", "other", "third"))
    propose_images(images, source, one, workers=0)
    propose_images(images, Logging(source.log, "2"), other, workers=0)
    with pytest.raises(InputError, match="merge stores of the same source"):
        merge_stores([one, other], tmp_path / "merged")
    with pytest.raises(MisuseError, match="one of the stores"):
        merge_stores([one, other], one)
    save_image(images[0][1].parent, "i0", 99)
    propose_images(images, source, third, workers=0)
    with pytest.raises(InputError, match="different boxes for image 'i0'"):
        merge_stores([one, third], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path))
    paths = {
        cache_path("voc2007", DenseBoxes()),
        cache_path("voc2007", DenseBoxes(step=0.2)),
        cache_path("../evil/name", DenseBoxes()),
    }
    assert len(paths) == 3
    assert {path.parent for path in paths} == {tmp_path / "proposals"}
    monkeypatch.delenv("FRCNN_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_path("a", DenseBoxes()).is_relative_to(tmp_path / ".cache" / "frcnn")


OTHER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_propose_images import Logging
from frcnn_cli.engine.proposals.run import propose_images

folder = Path(sys.argv[2])
images = [(path.stem, path) for path in sorted((folder / "images").glob("*.png"))]

def wait(progress):
    if progress.computed == 2:
        print("holds", flush=True)
        sys.stdin.readline()

images = images[int(sys.argv[3]):]
propose_images(images, Logging(folder / "log"), folder / "out", workers=0, keep_others=True,
               on_progress=wait)
"""


@pytest.mark.parametrize("stored", [0, 1])
def test_images_of_another_process_are_waited_for_and_not_computed_again(
    images, source, tmp_path, stored
):
    out = tmp_path / "out"
    inode = None
    if stored:  # a finished store, to which both processes add
        propose_images(images[:stored], source, out, workers=0)
        inode = out.stat().st_ino
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(Path(__file__).parent), str(tmp_path), str(stored)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "holds\n"
    with pytest.raises(InputError, match="another process"):
        propose_images(images, source, out, workers=0, keep_others=True)
    waits = []

    def on_wait():
        waits.append(1)
        other.communicate("end\n", timeout=60)

    result = propose_images(images, source, out, workers=0, keep_others=True, on_wait=on_wait)
    assert (result.computed, result.reused) == (0, 6)
    assert source.calls() == 6
    assert waits == [1]
    assert inode in (None, out.stat().st_ino)  # in place, though this process has read the store
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "log", "out"]
