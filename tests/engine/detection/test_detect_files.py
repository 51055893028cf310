"""Detection in many images, with a journal to resume from."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import frcnn_cli.engine.detection.images as detect_files_module
from frcnn_cli.engine.detection.images import detect_files
from frcnn_cli.engine.detection.journal import Journal
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.source_calls import SourceCalls
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.sources.dense import DenseBoxes

SETTINGS = DetectSettings(score_threshold=0.0, top_k=5)
FOUND = Detections(
    np.array([[1.1, 2, 3, 1e-7], [0, 1 / 3, 7, 9]], np.float32),
    np.array([0.9, 0.1], np.float32),
    np.array([2, 1]),
)


def same(a: Detections | None, b: Detections | None) -> bool:
    assert a is not None
    assert b is not None
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("boxes", "scores", "labels"))


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[str, str | Path]]:
    for index in range(5):
        pixels = np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    return [(str(index), tmp_path / f"{index}.png") for index in range(5)]


def test_journal_returns_stored_detections(tmp_path: Path) -> None:
    path = tmp_path / "new" / "found.json.partial"
    with Journal(path, {"model": "m", "n": 0.1}) as journal:
        journal.add("one", "digest", FOUND)
        journal.add("none", "other", Detections())
    with Journal(path, {"model": "m", "n": 0.1}) as journal:
        assert len(journal) == 2
        assert same(journal.known("one", "digest"), FOUND)
        assert journal.known("one", "changed") is None
        assert journal.known("two", "digest") is None
        nothing = journal.known("none", "other")
        assert nothing is not None
        assert len(nothing) == 0
        journal.remove()
    assert not path.exists()


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_incomplete_last_line_is_ignored_and_overwritten(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    with Journal(path, {}) as journal:
        journal.add("a", "1", FOUND)
        journal.add("b", "2", FOUND)
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path, {}) as journal:
        assert same(journal.known("a", "1"), FOUND)
        assert journal.known("b", "2") is None
        journal.add("c", "3", FOUND)
    with Journal(path, {}) as journal:
        assert len(journal) == 2
        assert same(journal.known("c", "3"), FOUND)


def test_journal_of_another_model_or_setting_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, {"model": "m", "settings": {"scales": (1, 2)}, "proposals": "p"}) as journal:
        journal.add("a", "1", FOUND)
    before = path.read_bytes()
    with pytest.raises(InputError, match="differs in its settings and proposals"):
        Journal(path, {"model": "m", "settings": {"scales": (1, 3)}, "proposals": "q"})
    assert path.read_bytes() == before
    with Journal(
        path, {"model": "m", "settings": {"scales": (1, 2)}, "proposals": "p"}
    ) as reopened:
        assert len(reopened) == 1


@pytest.mark.parametrize("content", ["precious\nnotes\n", "precious", '{"format":1}', "{}\n"])
def test_other_files_are_not_overwritten(tmp_path: Path, content: str) -> None:
    path = tmp_path / "journal"
    path.write_text(content)
    with pytest.raises(InputError, match="not a journal"):
        Journal(path, {})
    assert path.read_text() == content


def test_journal_with_a_truncated_first_line_is_restarted(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, {"model": "m"}) as journal:
        journal.add("a", "1", FOUND)
    head = path.read_bytes().split(b"\n")[0]
    for length in (0, 1, 20, len(head)):
        path.write_bytes(head[:length])
        with Journal(path, {"model": "m"}) as journal:
            assert len(journal) == 0
            journal.add("a", "1", FOUND)


@pytest.mark.parametrize("there", [True, False])
def test_symbolic_link_in_place_of_a_journal_is_not_followed(tmp_path: Path, there: bool) -> None:
    target = tmp_path / "target"
    if there:
        target.touch()
    (tmp_path / "journal").symlink_to(target)
    with pytest.raises(InputError, match="journal: is a symbolic link"):
        Journal(tmp_path / "journal", {})
    assert target.exists() == there
    assert not there or target.read_bytes() == b""


def test_two_runs_cannot_write_the_same_journal(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "journal", {}),
        pytest.raises(InputError, match="another run"),
    ):
        Journal(tmp_path / "journal", {})


HOLDER = """
import sys
from pathlib import Path
import numpy as np
from frcnn_cli.engine.detection.journal import Journal
from frcnn_cli.engine.records import Detections

with Journal(Path(sys.argv[1]), {}) as journal:
    found = Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
    journal.add("a", "1", found)
    print("holds", flush=True)
    sys.stdin.readline()
print("released", flush=True)
sys.stdin.readline()
journal.remove()
"""


def test_a_journal_of_another_run_is_waited_for_and_used(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    assert other.stdout.readline() == "holds\n"
    waits = []

    def on_wait() -> None:
        waits.append(1)
        assert other.stdin is not None
        other.stdin.write("end\n")
        other.stdin.flush()

    with Journal(path, {}, on_wait) as journal:
        assert journal.known("a", "1") is not None
        other.communicate("end\n", timeout=60)  # it removes its journal, which is in use
        assert path.exists()
    journal.remove()
    assert waits == [1]
    assert not path.exists()


def test_empty_journal_leaves_no_file(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal", {}):
        pass
    assert not (tmp_path / "journal").exists()


def test_bad_image_and_failing_source_do_not_stop_the_others(
    small_model: FastRCNN, files: list[tuple[str, str | Path]]
) -> None:
    Path(files[1][1]).write_text("not an image")
    dense = DenseBoxes(step=0.5)

    def propose(image_id: str, image: Image) -> Proposals:
        if image_id == "3":
            raise ValueError("an error in the source")
        return dense.propose(image)

    results = list(detect_files(small_model, files, propose, SETTINGS))
    assert [result.image_id for result in results] == ["0", "1", "2", "3", "4"]
    assert [result.found is None for result in results] == [False, True, False, True, False]
    assert "1.png" in str(results[1].error)
    assert "an error in the source" in str(results[3].error)


def test_a_fault_of_the_program_is_not_a_failed_image(
    small_model: FastRCNN,
    files: list[tuple[str, str | Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def detect(*_: object) -> Detections:
        return Detections(np.zeros((2, 4), np.float32), np.zeros(3, np.float32))

    monkeypatch.setattr(detect_files_module, "detect_reduced", detect)
    dense = SourceCalls(DenseBoxes(step=0.5))
    with pytest.raises(ValueError, match="the array scores has shape"):
        list(detect_files(small_model, files, dense, SETTINGS))


def test_stored_images_are_not_detected_again(
    small_model: FastRCNN,
    files: list[tuple[str, str | Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    propose = SourceCalls(DenseBoxes(step=0.5))
    whole = list(detect_files(small_model, files, propose, SETTINGS))
    with Journal(tmp_path / "journal", {}) as journal:
        stopped = detect_files(small_model, files, propose, SETTINGS, journal)
        for _ in range(3):
            next(stopped)
        stopped.close()
    changed = np.full((48, 64, 3), 7, np.uint8)
    PIL.Image.fromarray(changed).save(files[0][1])
    detected_means = []
    detect = detect_files_module.detect_reduced
    monkeypatch.setattr(
        detect_files_module,
        "detect_reduced",
        lambda *a: (detected_means.append(a[1].pixels.mean()), detect(*a))[1],
    )
    with Journal(tmp_path / "journal", {}) as journal:
        resumed = list(detect_files(small_model, files, propose, SETTINGS, journal))
        assert len(journal) == 5
    assert len(detected_means) == 3
    assert detected_means[0] == 7  # its file has changed
    for before, after in zip(whole[1:], resumed[1:], strict=True):
        assert same(before.found, after.found)
    assert resumed[1].image is None
    assert resumed[4].image is not None
