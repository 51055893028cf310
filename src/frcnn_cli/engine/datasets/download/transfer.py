"""Download a file, resuming at its end; nothing that the server sends is trusted."""

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
_TEMPORARY = (  # HTTP status codes that may succeed later
    408,
    425,
    429,
    500,
    502,
    503,
    504,
)


class TransferError(Exception):
    """This address does not provide the file; another one may."""


class _ConnectionLost(Exception):
    """The connection failed; the same address may continue the file."""


@dataclass(frozen=True)
class Patience:
    """Limits for retries.

    tries: number of failed connections without `progress` new bytes before giving up. seconds:
    wait between two tries. timeout: seconds without a byte after which a connection fails.
    """

    tries: int = 5
    progress: int = 1 << 20
    seconds: float = 1.0
    timeout: float = 30.0


class _Readable(Protocol):
    def read(self, amount: int, /) -> bytes: ...


@dataclass(frozen=True)
class _Body:
    """A response: the offset of its first byte in the file, and the file's length or None."""

    start: int
    total: int | None
    stream: _Readable


def fill(
    file: BinaryIO, size: int, url: str, patience: Patience, report: Callable[[int], None]
) -> None:
    """Append to `file` until it has `size` bytes; only missing bytes are requested.

    Restarts from the first byte if the server does not support ranges. report: is called with
    the number of bytes in the file. Raises TransferError if the server has a different file or
    stops sending.
    """
    tries, furthest = 0, file.seek(0, os.SEEK_END)
    while (done := file.seek(0, os.SEEK_END)) < size:
        try:
            with _response(url, done, patience.timeout) as body:
                if body.total not in (None, size):
                    raise TransferError(f"its file has {body.total} bytes, not {size}")
                if body.start not in (0, done):
                    raise TransferError("it sends another part of the file than requested")
                file.seek(body.start)
                file.truncate()
                _copy(body, file, size, report)
        except _ConnectionLost as error:
            now = file.seek(0, os.SEEK_END)
            if now >= min(size, furthest + patience.progress):
                tries, furthest = 0, now
                continue
            tries += 1
            if tries == patience.tries:
                raise TransferError(str(error)) from error
            time.sleep(patience.seconds)


def _copy(body: _Body, file: BinaryIO, size: int, report: Callable[[int], None]) -> None:
    """Write the body, at most `size` bytes. Raises _ConnectionLost if it ends too early."""
    done = body.start
    while done < size:
        try:
            data = body.stream.read(min(_CHUNK, size - done))
        except (OSError, http.client.HTTPException) as error:
            raise _ConnectionLost(_reason(error)) from error
        if not data:
            raise _ConnectionLost(f"the connection ended after {done} of {size} bytes")
        file.write(data)
        done += len(data)
        report(done)


@contextmanager
def _response(url: str, start: int, timeout: float) -> Iterator[_Body]:
    """Request the file at `url` from byte `start`; the server may send it from byte 0."""
    headers = {"User-Agent": "frcnn", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = _opener().open(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        message = f"HTTP status {error.code} ({' '.join(str(error.reason).split())[:80]})"
        raise (_ConnectionLost if error.code in _TEMPORARY else TransferError)(message) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _ConnectionLost(_reason(error)) from error
    with response:
        yield _body(response)


def _opener() -> urllib.request.OpenerDirector:
    """Create an opener for http and https only, which follows a few redirects."""
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


def _body(response: http.client.HTTPResponse) -> _Body:
    if response.status == 206:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None:
            raise TransferError("it sends part of the file without a valid Content-Range")
        total = None if match[3] == "*" else int(match[3])
        return _Body(int(match[1]), total, response)
    if response.status != 200:
        raise TransferError(f"HTTP status {response.status} instead of the file")
    length = response.headers.get("Content-Length", "")
    return _Body(0, int(length) if re.fullmatch(r"\d{1,15}", length) else None, response)


def _reason(error: Exception) -> str:
    """Describe a connection error in a few words."""
    inner = getattr(error, "reason", None)
    error = inner if isinstance(inner, Exception) else error
    if isinstance(error, TimeoutError):
        return "no response (timeout)"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0][:120]
