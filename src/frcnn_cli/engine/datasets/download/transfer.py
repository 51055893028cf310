"""Filling a file from an address, from where it ends on; the server is believed in nothing."""

from __future__ import annotations

import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

_CHUNK = 1 << 16
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)")
_MAY_PASS = (408, 425, 429, 500, 502, 503, 504)


class TransferError(Exception):
    """This address does not give the file; another one may."""


class _Dropped(Exception):
    """The connection failed; the same address may go on with the file."""


@dataclass(frozen=True)
class Patience:
    """tries: how often a connection may fail without `progress` bytes in between; seconds:
    waited between them; timeout: in seconds, without a byte.
    """

    tries: int = 5
    progress: int = 1 << 20
    seconds: float = 1.0
    timeout: float = 30.0


class _Readable(Protocol):
    def read(self, amount: int, /) -> bytes: ...


@dataclass(frozen=True)
class _Body:
    """An answer: the offset of its first byte in the file, and the file's length or None."""

    start: int
    total: int | None
    stream: _Readable


def fill(
    file: BinaryIO, size: int, url: str, patience: Patience, report: Callable[[int], None]
) -> None:
    """Append to `file` until it has `size` bytes: what it has already is not asked for again.

    Begins anew where the server cannot go on in the middle. report: is told how many bytes the
    file has. Raises TransferError where the server has another file, or stops giving.
    """
    tries, furthest = 0, file.seek(0, os.SEEK_END)
    while (done := file.seek(0, os.SEEK_END)) < size:
        try:
            with _answer(url, done, patience.timeout) as body:
                if body.total not in (None, size):
                    raise TransferError(f"its file has {body.total} bytes, not {size}")
                if body.start not in (0, done):
                    raise TransferError("it sends another part of the file than was asked for")
                file.seek(body.start)
                file.truncate()
                _copy(body, file, size, report)
        except _Dropped as error:
            now = file.seek(0, os.SEEK_END)
            if now >= min(size, furthest + patience.progress):
                tries, furthest = 0, now
                continue
            tries += 1
            if tries == patience.tries:
                raise TransferError(str(error)) from error
            time.sleep(patience.seconds)


def _copy(body: _Body, file: BinaryIO, size: int, report: Callable[[int], None]) -> None:
    """Write what comes, to the file's end at most. Raises _Dropped where it ends too early."""
    done = body.start
    while done < size:
        try:
            data = body.stream.read(min(_CHUNK, size - done))
        except (OSError, http.client.HTTPException) as error:
            raise _Dropped(_reason(error)) from error
        if not data:
            raise _Dropped(f"it ends after {done} of {size} bytes")
        file.write(data)
        done += len(data)
        report(done)


@contextmanager
def _answer(url: str, start: int, timeout: float) -> Iterator[_Body]:
    """The file at `url` from byte `start` on, or from its beginning where that cannot be."""
    headers = {"User-Agent": "frcnn", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        answer = _opener().open(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        message = f"it answers {error.code} ({' '.join(str(error.reason).split())[:80]})"
        raise (_Dropped if error.code in _MAY_PASS else TransferError)(message) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Dropped(_reason(error)) from error
    with answer:
        yield _body(answer)


def _opener() -> urllib.request.OpenerDirector:
    """Follows redirects a few times; unlike urllib's own it knows http and https alone."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _body(answer: http.client.HTTPResponse) -> _Body:
    if answer.status == 206:
        match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if match is None:
            raise TransferError("it does not say which part of the file it sends")
        total = None if match[3] == "*" else int(match[3])
        return _Body(int(match[1]), total, answer)
    if answer.status != 200:
        raise TransferError(f"it answers {answer.status} in place of the file")
    length = answer.headers.get("Content-Length", "")
    return _Body(0, int(length) if re.fullmatch(r"\d{1,15}", length) else None, answer)


def _reason(error: Exception) -> str:
    """In a few words, what is wrong with a connection."""
    inner = getattr(error, "reason", None)
    error = inner if isinstance(inner, Exception) else error
    if isinstance(error, TimeoutError):
        return "it does not answer"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0][:120]
