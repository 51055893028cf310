"""Calls of sources from many threads: in this process, or isolated from it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import plugins
import pytest

from frcnn_cli.engine.proposals.run import propose_images
from frcnn_cli.engine.proposals.source_calls import SourceCalls, source_of
from frcnn_cli.engine.settings import ProposalSettings
from frcnn_cli.engine.settings.options import DataOptions
from frcnn_proposals.base import Window
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.sources.call import SourceError
from frcnn_proposals.sources.dense import DenseBoxes
from frcnn_proposals.sources.precomputed import Precomputed
from frcnn_proposals.sources.union import UnionSource


def image_of(red: int, green: int = 0) -> np.ndarray:
    image = np.zeros((1000, 300, 3), np.uint8)
    image[:, :, 0], image[:, :, 1] = red, green
    return image


def test_one_object_gets_one_call_at_a_time() -> None:
    with closing(SourceCalls(plugins.Remembers())) as calls, ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda red: calls(str(red), image_of(red)), range(24)))
    assert [proposals.boxes[0, 2] for proposals in found] == list(range(24))
    processes = {proposals.boxes[0, 3] for proposals in found}
    assert os.getpid() % 1000 not in processes
    assert len(processes) <= 3


def test_worker_processes_know_the_window(tmp_path: Path) -> None:
    np.savez(tmp_path / "boxes.npz", a=np.array([[2.0, 30, 9, 40], [0, 0, 299, 999]]))
    source = UnionSource([Precomputed(tmp_path / "boxes.npz"), plugins.Plugin()])
    window = Window(0, 20, 300, 100, 300, 1000)
    with closing(SourceCalls(source)) as calls:
        found = calls("a", window.pixels_of(image_of(0)), window)
    assert found.boxes.tolist() == [[2, 10, 9, 20], [0, 0, 299, 99]]


def test_a_source_declared_thread_safe_is_called_in_this_process() -> None:
    with closing(SourceCalls(plugins.Safe())) as calls:
        assert calls("a", image_of(9)).boxes.tolist() == [[0, 0, 9, os.getpid() % 1000]]
    before = multiprocessing.active_children()
    with closing(SourceCalls(DenseBoxes())) as calls:
        assert len(calls("a", image_of(0))) > 100
        assert multiprocessing.active_children() == before


def test_two_videos_do_not_share_a_source_that_counts_frames() -> None:
    source = plugins.Counts()
    with pytest.raises(MisuseError, match="is for videos and cameras, not for images"):
        SourceCalls(source)
    streams = [SourceCalls(source, is_stream=True) for _ in range(2)]
    for number in (1, 2, 3):
        for stream in streams:
            assert stream("", image_of(0)).boxes.tolist() == [[0, 0, number, 0]]
    for stream in streams:
        stream.close()


@pytest.mark.parametrize("kind", plugins.FAILING)
def test_a_failure_costs_one_image(kind: type[plugins.Plugin]) -> None:
    images = [image_of(0), image_of(255), image_of(0)]
    with closing(SourceCalls(kind())) as calls:
        first, last = (calls("a", image) for image in (images[0], images[0]))
        with pytest.raises(SourceError) as caught:
            calls("b", images[1])
        assert str(caught.value).startswith(plugins.FAILING[kind])
        again = calls("c", images[2])
    for found in (first, last, again):
        assert found.boxes.tolist() == [[0, 0, 299, 999]]
    assert (images[1] == image_of(255)).all()


def test_a_stop_signal_that_the_source_sends_to_itself_is_ignored() -> None:
    """As in `frcnn propose`: workers leave stop signals to the command."""
    calls = SourceCalls(plugins.Killed())
    with closing(calls), pytest.raises(SourceError, match="returned None"):
        calls("a", image_of(255, green=1))


def test_the_folder_of_this_process_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(SourceCalls(plugins.Moves())) as calls:
        calls("a", image_of(255))
    assert Path.cwd() == tmp_path


def test_an_interrupted_call_does_not_answer_the_next() -> None:
    """The answer of the first image would otherwise be read as that of the second."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    with closing(SourceCalls(plugins.Remembers())) as calls:
        calls("a", image_of(1))  # its process has started
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            with pytest.raises(KeyboardInterrupt):
                calls("b", image_of(2))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert calls("c", image_of(3)).boxes[0, 2] == 3


def test_processes_end_when_closed() -> None:
    calls = SourceCalls(plugins.Plugin())
    calls("a", image_of(0))
    assert multiprocessing.active_children() != []
    calls.close()
    assert multiprocessing.active_children() == []
    with pytest.raises(SourceError, match="was stopped"):
        calls("a", image_of(0))
    assert multiprocessing.active_children() == []
    calls = SourceCalls(plugins.Plugin())
    calls("a", image_of(0))
    del calls
    assert multiprocessing.active_children() == []


def test_a_program_ends_that_closes_nothing() -> None:
    code = (
        "import numpy as np, plugins\n"
        "from frcnn_cli.engine.proposals.source_calls import SourceCalls\n"
        "calls = SourceCalls(plugins.Plugin())\n"
        "print(calls('a', np.zeros((3, 4, 3), np.uint8)).boxes.tolist())\n"
    )
    helpers = os.path.dirname(plugins.__file__)
    path = os.pathsep.join((helpers, *filter(None, [os.environ.get("PYTHONPATH")])))
    child = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "[[0.0, 0.0, 3.0, 2.0]]\n", "")


def test_a_fork_does_not_take_the_answers_of_its_parent() -> None:
    with closing(SourceCalls(plugins.Plugin())) as calls:
        calls("a", image_of(0))
        child = os.fork()
        if child == 0:
            try:
                calls("b", image_of(0))
            except InputError as error:
                os._exit(7 if "before this process was forked" in str(error) else 8)
            os._exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert len(calls("c", image_of(0))) == 1


def test_a_source_that_cannot_be_sent_is_one_error(tmp_path: Path) -> None:
    message = "this proposal source cannot be sent to worker processes .*NotPicklable"
    with pytest.raises(InputError, match=message):
        SourceCalls(plugins.NotPicklable())
    with pytest.raises(InputError, match=message):
        propose_images([("a", "a.png")], plugins.NotPicklable(), tmp_path / "out", workers=1)


def test_a_file_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    """Also if its boxes are joined with those of another source."""
    (tmp_path / "a.csv").write_text("a,b\n")
    source = UnionSource([Precomputed(tmp_path / "a.csv"), plugins.Plugin()])
    with pytest.raises(InputError, match="is not any known proposal format"):
        SourceCalls(source)
    with pytest.raises(InputError, match="is not any known proposal format"):
        propose_images([("a", "a.png"), ("b", "b.png")], source, tmp_path / "out", workers=1)


def _in_a_daemonic_process(_: int) -> str:
    try:
        SourceCalls(plugins.Plugin())
    except InputError as error:
        return str(error)
    return ""


def test_a_process_that_cannot_start_others_says_so() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert "daemonic process" in pool.map(_in_a_daemonic_process, [0])[0]


def test_errors_and_boxes_cross_processes() -> None:
    error = pickle.loads(pickle.dumps(SourceError("x failed")))
    assert (type(error), str(error)) == (SourceError, "x failed")


def test_parameters_belong_to_their_source(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins.install(monkeypatch)
    own = ProposalSettings(source="grid", file="a.pkl", parameters=("cells=3",))
    assert source_of(own).parameters == {"cells": 3}
    assert source_of(own.with_source(None, ())).parameters == {"cells": 3}
    assert source_of(own.with_source(None, ("cells=5",))).parameters == {"cells": 5}
    assert source_of(own.with_source("grid", ())).parameters == {"cells": 2}
    assert source_of(own.with_source("dense", ("step=0.5",))).parameters["step"] == 0.5
    used = DataOptions(parameters=("cells=7",)).proposal_settings(own)
    assert (used.source, used.file, source_of(used).parameters) == ("grid", "", {"cells": 7})
