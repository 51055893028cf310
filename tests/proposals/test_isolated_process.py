"""A call in a separate process returns a result or raises an error with a message in every case."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from frcnn_proposals.formats.containers.isolated_process import IsolatedCallError, call_isolated

LIMITS = {"seconds": 60.0, "memory": 1 << 30}


def test_the_result_is_returned():
    found = call_isolated(np.arange, 5_000_000, **LIMITS)
    np.testing.assert_array_equal(found, np.arange(5_000_000))


def test_the_call_runs_in_another_process():
    assert call_isolated(os.getpid, **LIMITS) != os.getpid()


def fail():
    raise ValueError("no such\nthing")


def print_text():
    os.write(1, b"something")
    os.write(2, b"something")


class MaliciousResult:
    """A result that a process could return after a malicious file took it over."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (fail, (), "^no such thing$"),
        (ctypes.string_at, (0,), "^the process ended by SIGSEGV$"),
        (os.abort, (), "^the process ended by SIGABRT$"),
        (os._exit, (0,), "^it returned nothing$"),
        (os._exit, (7,), "^the process ended with exit code 7$"),
        (signal.pause, (), "^it takes more than 0.1 s$"),
        (max, (iter(int, 1),), "^it takes more than 0.1 s$"),
        (np.zeros, (1 << 28,), "Unable to allocate 2.00 GiB"),
        (lambda: lambda: 0, (), "local object"),  # "Can't pickle ..."; from 3.13 "Can't get ..."
        (
            MaliciousResult,
            ("touch ran",),
            "^the result is not plain values: contains posix.system$",
        ),
    ],
)
def test_the_message_says_how_it_ended(function, arguments, message, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    limits = LIMITS | {"seconds": 0.1} if "0.1 s" in message else LIMITS
    with pytest.raises(IsolatedCallError, match=message):
        call_isolated(function, *arguments, **limits)
    assert time.monotonic() - began < 45
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_the_call_prints_nothing(capfd):
    call_isolated(print_text, **LIMITS)
    assert capfd.readouterr() == ("", "")


def test_ctrl_c_also_ends_the_call():
    program = (
        "import os, signal, threading, time\n"
        "from frcnn_proposals.formats.containers.isolated_process import call_isolated\n"
        "threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "call_isolated(time.sleep, 60, seconds=60, memory=1 << 30)\n"
    )
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, start_new_session=True
    )
    assert b"KeyboardInterrupt" in process.communicate(timeout=45)[1]
    assert time.monotonic() - began < 45
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
