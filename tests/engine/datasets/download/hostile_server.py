"""A local HTTP server that misbehaves as the test defines for each request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Request(BaseHTTPRequestHandler):
    """One request, which a function of the test answers."""

    protocol_version = "HTTP/1.1"
    answer: Callable[[Request], None]
    starts: list[int]

    def do_GET(self) -> None:
        self.start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.starts.append(self.start)
        self.answer()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass

    def send_content(
        self,
        content: bytes,
        *,
        ranges: bool = True,
        cut: int | None = None,
        length: int | None = None,
        total: int | None = None,
    ) -> None:
        """Send the content, from the requested byte on.

        ranges: whether range requests are supported. cut: bytes to send before the connection
        breaks. length: a Content-Length that may be wrong. total: the same for Content-Range.
        """
        start = self.start if ranges else 0
        body = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if start:
            end = len(content) - 1
            self.send_header("Content-Range", f"bytes {start}-{end}/{total or len(content)}")
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])

    def redirect(self, to: str) -> None:
        """Redirect to another address."""
        self.send_response(302)
        self.send_header("Location", to)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(answer: Callable[[Request], None]) -> Iterator[tuple[str, list[int]]]:
    """Run a server. Yields its address, and a list of the first byte of each request."""
    starts: list[int] = []
    handler = type("Handler", (Request,), {"answer": answer, "starts": starts})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", starts
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
