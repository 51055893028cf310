"""Calls in a process of their own, for libraries that a damaged file can crash or hang."""

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

# A process that waits for ever takes no processor time: it has this many times as long.
_PATIENCE = 10
_REFUSED, _FAILED = 3, 4


class IsolatedCallError(Exception):
    """The call gave no result; the message, a part of a line, says how it ended."""


def call_isolated(
    function: Callable[..., Result], *arguments: Any, seconds: float, memory: int
) -> Result:
    """function(*arguments), called in a fork of this process, if its result is plain values:
    arrays, numbers, text, and lists and dicts of them.

    seconds: of processor time. memory: bytes above what this process has.
    Raises IsolatedCallError where the function raises, crashes, or needs more than that. Not for
    functions that use threads or a device: a fork has neither.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: as above
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
    if code == _REFUSED:
        raise IsolatedCallError(answer.decode(errors="replace"))
    if code != 0 or not answer:
        raise IsolatedCallError(_how_it_ended(code, seconds))
    # A file that took the process over could have it answer anything.
    try:
        return loads_pickle(answer)  # type: ignore[no-any-return]
    except ValueError as error:
        raise IsolatedCallError(f"that gives no plain values: {error}") from error


def _answer(
    writing: int, function: Callable[..., Any], arguments: Any, seconds: float, memory: int
) -> NoReturn:
    """In the child: write the result, or why there is none, and end."""
    code = _FAILED
    try:
        _limit(seconds, memory)
        try:
            answer, code = pickle.dumps(function(*arguments), 5), 0
        except Exception as error:
            answer, code = reason(error).encode(), _REFUSED
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer)
    finally:
        os._exit(code)  # nothing of the parent's is flushed or cleaned up


def _limit(seconds: float, memory: int) -> None:
    """End at the limits and at signals, saying nothing."""
    faulthandler.disable()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds * _PATIENCE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not os.path.exists("/proc/self/statm"):
        return  # no Linux, which alone tells what is taken
    with open("/proc/self/statm") as statm:
        most = int(statm.read().split()[0]) * resource.getpagesize() + memory
    already, hard = resource.getrlimit(resource.RLIMIT_AS)
    if already == resource.RLIM_INFINITY or most < already:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _how_it_ended(code: int, seconds: float) -> str:
    if code == -signal.SIGPROF or code == -signal.SIGALRM:
        return f"that takes more than {seconds:.3g} s"
    if code == -signal.SIGKILL:
        return "the kernel ended that, which it does when memory runs out"
    if code < 0:
        return f"that ends by {signal.Signals(-code).name}"
    return f"that ends with {code}" if code else "that gives nothing"
