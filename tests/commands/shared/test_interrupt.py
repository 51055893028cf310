"""Stop signals end a command soon, even inside a long call without Python code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from frcnn_cli.commands.shared import interrupt

LONGEST = 300  # seconds; what a test waits for takes a few, but the machine may be busy
# A call that takes an hour, and does not return to Python when it is interrupted.
BUSY = """
import hashlib, multiprocessing, time
from frcnn_cli.commands.shared.interrupt import end_soon_after_stop_signal
from frcnn_cli.engine.distributed.signals import handle_stop_signals

def interrupt(*_):
    raise KeyboardInterrupt

if __name__ == "__main__":
    handle_stop_signals(interrupt)
    end_soon_after_stop_signal(130, seconds=0.5)
    spawn = multiprocessing.get_context("spawn")
    child = spawn.Process(target=time.sleep, args=(3600,), daemon=True)
    child.start()
    print(child.pid, flush=True)
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2**31 - 1)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_long_call_is_ended_and_no_worker_is_left(tmp_path: Path, number: signal.Signals) -> None:
    busy, line = started(tmp_path / "busy.py", BUSY)
    worker = int(line)
    try:
        wait_until_busy(busy.pid)
        os.killpg(busy.pid, number)
        _, message = busy.communicate(timeout=LONGEST)
    finally:
        busy.kill()
    assert busy.returncode == 130
    assert "saved results are kept" in message
    assert "frcnn train --resume RUN" in message
    deadline = time.monotonic() + LONGEST
    while is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(worker)


WRITING = """
import time
from frcnn_cli.commands.shared.interrupt import end_soon_after_stop_signal
from frcnn_cli.engine.distributed.interrupt import stop_between_steps
from frcnn_cli.engine.distributed.signals import LAST_WRITE

end_soon_after_stop_signal(130, seconds=0.1)
with stop_between_steps() as stop, LAST_WRITE:
    print("writes", flush=True)
    while not stop.made:
        time.sleep(0.01)
    time.sleep(2)
    print("complete", flush=True)
time.sleep(3600)
"""


def test_a_stopped_command_completes_a_checkpoint(tmp_path: Path) -> None:
    writing, line = started(tmp_path / "writing.py", WRITING)
    assert line == "writes\n"
    writing.send_signal(signal.SIGINT)
    written, message = writing.communicate(timeout=LONGEST)
    assert (writing.returncode, written) == (130, "complete\n")
    assert "Interrupted" in message


# `frcnn` imports click before it works.
AT_IMPORT = """
import atexit, signal, sys

class Hook:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            {statement}

sys.meta_path.insert(0, Hook())
from frcnn_cli.__main__ import main
main()
"""
AT_START = AT_IMPORT.replace("{statement}", "signal.raise_signal({number})")
# The command ends because of the first signal when the second one arrives.
TWICE = """
import signal
from frcnn_cli import cli
from frcnn_cli.engine.distributed import signals

def interrupt():
    signal.raise_signal({number})

signals._SECONDS_OF_ONE_REQUEST = 0
cli._check_current_folder = cli.print_interrupted = interrupt
cli.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("program", "message"),
    [(AT_START, "Interrupted."), (TWICE, "Aborted!")],
    ids=["start", "twice"],
)
def test_a_signal_at_any_moment_ends_a_command_without_a_traceback(
    program: str, message: str, number: signal.Signals
) -> None:
    stopped = subprocess.run(
        [sys.executable, "-c", program.format(number=int(number)), "completion", "bash"],
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert (stopped.returncode, stopped.stderr.strip()) == (130, message)


# The work is done, and Python ends.
AT_END = AT_IMPORT.replace("{statement}", "atexit.register(signal.raise_signal, {number})")
# The signal arrives when Python deletes the objects of its modules.
AFTER_THE_END = """
import os
from frcnn_cli.__main__ import main

class Stop:
    def __del__(self, kill=os.kill, process=os.getpid()):
        kill(process, {number})

stop = Stop()
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("program", [AT_END, AFTER_THE_END], ids=["end", "after the end"])
@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["runs", "missing"], 2)])
def test_a_signal_after_the_work_does_not_change_the_exit_code(
    program: str, arguments: list[str], code: int, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", program.format(number=int(number)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert done.returncode == code
    assert "Interrupted" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("busy", "waiting", "expected"),
    [
        (1.0, 0.0, 2.5),  # the process ran all the time, and did not end
        (0.0, 0.0, 2.5),  # it waits for something else, such as a stalled disk
        (0.1, 0.9, 8.3),  # other programs run: it gets as much processor time as alone
        (0.0, 2.0, 10.0),  # but not longer than this
    ],
)
def test_the_wait_is_longer_only_if_other_programs_use_the_processor(
    busy: float, waiting: float, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "process_time", lambda: busy * now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr(interrupt, "_waited_for_the_processor", lambda: waiting * now[0])
    interrupt._wait(interrupt.SECONDS)
    assert now[0] == pytest.approx(expected, abs=0.2)


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    """As after `nohup`."""
    (tmp_path / "ignoring.py").write_text(IGNORING)
    ignoring = subprocess.run(
        [sys.executable, str(tmp_path / "ignoring.py")], timeout=LONGEST, check=False
    )
    assert ignoring.returncode == 7


IGNORING = """
import signal, sys
from frcnn_cli.engine.distributed.interrupt import stop_between_steps
from frcnn_cli.engine.distributed.signals import handle_stop_signals

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGHUP, signal.SIG_IGN)
handle_stop_signals(interrupt)
with stop_between_steps() as stop:
    signal.raise_signal(signal.SIGHUP)
    assert not stop.made
signal.raise_signal(signal.SIGHUP)
sys.exit(7)
"""


def started(path: Path, program: str) -> tuple[subprocess.Popen[str], str]:
    """A child process that runs `program`, and the first line that it printed."""
    path.write_text(program)
    child = subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stdout is not None
    return child, child.stdout.readline()


def wait_until_busy(process: int) -> None:
    """Wait until a process that has printed its last line has computed for 0.2 seconds more."""
    started, deadline = processor_seconds(process), time.monotonic() + LONGEST
    while processor_seconds(process) < started + 0.2:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def processor_seconds(process: int) -> float:
    with open(f"/proc/{process}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


def is_alive(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
