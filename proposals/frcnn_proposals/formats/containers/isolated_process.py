"""Calls in a separate process, for libraries that a damaged file can crash or block."""

from __future__ import annotations

import faulthandler
import os
import pickle
import resource
import signal
import warnings
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from frcnn_proposals.errors import reason
from frcnn_proposals.pickles.unpickle import loads_pickle

Result = TypeVar("Result")

# A process that waits uses no processor time: its limit of real time is this many times longer.
_PATIENCE = 10
_REJECTED, _FAILED = 3, 4


class IsolatedCallError(Exception):
    """The call returned no result. The message, part of a line, states how it ended."""


def call_isolated(
    function: Callable[..., Result], *arguments: Any, seconds: float, memory: int
) -> Result:
    """Call function(*arguments) in a fork of this process and return its result.

    The result must consist of plain values: arrays, numbers, text, and lists and dicts of these.
    seconds: limit of processor time. memory: limit in bytes, in addition to this process's memory.
    Raises IsolatedCallError if the function raises, crashes, or exceeds a limit. The function must
    not use threads or a device, because a fork has neither.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads in the parent
        child = os.fork()
    if child == 0:
        _answer(writing, function, arguments, seconds, memory)
    os.close(writing)
    code = None
    try:
        with os.fdopen(reading, "rb") as pipe:
            answer = pipe.read()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        if code is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    if code == _REJECTED:
        raise IsolatedCallError(answer.decode(errors="replace"))
    if code != 0 or not answer:
        raise IsolatedCallError(_how_it_ended(code, seconds))
    # A malicious file that took over the process could send any answer.
    try:
        return loads_pickle(answer)  # type: ignore[no-any-return]
    except ValueError as error:
        raise IsolatedCallError(f"the result is not plain values: {error}") from error


def _answer(
    writing: int, function: Callable[..., Any], arguments: Any, seconds: float, memory: int
) -> NoReturn:
    """In the child process: write the result or the error, and exit."""
    code = _FAILED
    try:
        _limit(seconds, memory)
        try:
            answer, code = pickle.dumps(function(*arguments), 5), 0
        except Exception as error:
            answer, code = reason(error).encode(), _REJECTED
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer)
    finally:
        os._exit(code)  # without flushing or cleaning up the parent's state


def _limit(seconds: float, memory: int) -> None:
    """Make limits and signals end this process silently."""
    faulthandler.disable()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in (*stops, signal.SIGALRM, signal.SIGPROF):
        if number not in stops or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds * _PATIENCE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not os.path.exists("/proc/self/statm"):
        return  # only Linux reports the memory in use
    with open("/proc/self/statm") as statm:
        most = int(statm.read().split()[0]) * resource.getpagesize() + memory
    already, hard = resource.getrlimit(resource.RLIMIT_AS)
    if already == resource.RLIM_INFINITY or most < already:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _how_it_ended(code: int, seconds: float) -> str:
    if code == -signal.SIGPROF or code == -signal.SIGALRM:
        return f"it takes more than {seconds:.3g} s"
    if code == -signal.SIGKILL:
        return "the kernel killed the process, probably because memory ran out"
    if code < 0:
        return f"the process ended by {signal.Signals(-code).name}"
    return f"the process ended with exit code {code}" if code else "it returned nothing"
