"""A call in a process of its own ends in a result or in words, whatever it does."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from frcnn_proposals.isolated_process import IsolatedCallError, call_isolated

LIMITS = {"seconds": 20.0, "memory": 1 << 30}


def test_its_result_comes_back():
    found = call_isolated(np.arange, 5_000_000, **LIMITS)
    np.testing.assert_array_equal(found, np.arange(5_000_000))


def test_it_is_another_process():
    assert call_isolated(os.getpid, **LIMITS) != os.getpid()


def refuse():
    raise ValueError("no such\nthing")


def say_too_much():
    os.write(1, b"something")
    os.write(2, b"something")


class Answer:
    """What a process that a file has taken over may give for a result."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        (refuse, (), "^no such thing$"),
        (ctypes.string_at, (0,), "^that ends by SIGSEGV$"),
        (os.abort, (), "^that ends by SIGABRT$"),
        (os._exit, (0,), "^that gives nothing$"),
        (os._exit, (7,), "^that ends with 7$"),
        (signal.pause, (), "^that takes more than 0.1 s$"),
        (max, (iter(int, 1),), "^that takes more than 0.1 s$"),
        (np.zeros, (1 << 28,), "Unable to allocate 2.00 GiB"),
        (lambda: lambda: 0, (), "pickle"),
        (Answer, ("touch ran",), "^that gives no plain values: holds posix.system$"),
    ],
)
def test_how_it_ended_is_said(function, arguments, words, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    limits = LIMITS | {"seconds": 0.1} if "0.1 s" in words else LIMITS
    with pytest.raises(IsolatedCallError, match=words):
        call_isolated(function, *arguments, **limits)
    assert time.monotonic() - began < 15
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_it_says_nothing(capfd):
    call_isolated(say_too_much, **LIMITS)
    assert capfd.readouterr() == ("", "")


def test_it_does_not_outlive_ctrl_c():
    program = (
        "import os, signal, threading, time\n"
        "from frcnn_proposals.isolated_process import call_isolated\n"
        "threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "call_isolated(time.sleep, 60, seconds=60, memory=1 << 30)\n"
    )
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, start_new_session=True
    )
    assert b"KeyboardInterrupt" in process.communicate(timeout=30)[1]
    assert time.monotonic() - began < 30
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
