"""Downloads from servers that fail in many ways."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
from pathlib import Path

import pytest
from hostile_server import Request, serving

from frcnn_cli.engine.datasets.download.fetch import bytes_present, fetch
from frcnn_cli.engine.datasets.download.known import Archive
from frcnn_cli.engine.datasets.download.transfer import Patience
from frcnn_proposals.errors import InputError

CONTENT = random.Random(3).randbytes(300_000)
ARCHIVE = Archive("a.tar", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
OTHER = bytes(len(CONTENT))
QUICK = Patience(tries=3, progress=1000, seconds=0, timeout=0.5)
NOWHERE = "http://127.0.0.1:9"  # the discard port: no server


def fetch_from(folder: Path, *mirrors: str) -> Path:
    return fetch(ARCHIVE, folder, mirrors, patience=QUICK)


def download_error(folder: Path, *mirrors: str) -> str:
    with pytest.raises(InputError) as raised:
        fetch_from(folder, *mirrors)
    assert not (folder / "a.tar").exists()
    return str(raised.value)


def test_a_complete_archive_is_downloaded_once(tmp_path: Path) -> None:
    with serving(lambda request: request.send_content(CONTENT)) as (address, starts):
        path = fetch_from(tmp_path, address + "/")
        assert path.read_bytes() == CONTENT
        assert fetch_from(tmp_path, address) == path
    assert starts == [0]
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_a_download_continues_after_lost_connections(tmp_path: Path) -> None:
    with serving(lambda request: request.send_content(CONTENT, cut=100_000)) as (address, starts):
        assert fetch_from(tmp_path, address).read_bytes() == CONTENT
    assert starts == [0, 100_000, 200_000]


def test_a_server_without_ranges_restarts_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.tar.partial").write_bytes(CONTENT[:50_000])
    with serving(lambda request: request.send_content(CONTENT, ranges=False)) as (address, starts):
        assert fetch_from(tmp_path, address).read_bytes() == CONTENT
    assert starts == [50_000]


def test_a_server_that_always_stops_at_the_same_byte_is_an_error(tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        request.send_content(CONTENT, ranges=False, cut=70_000)

    with serving(answer) as (address, starts):
        message = download_error(tmp_path, address)
    assert "ended after 70000 of 300000 bytes" in message
    assert len(starts) == 4  # the first, which made progress, and three retries
    assert bytes_present(ARCHIVE, tmp_path) == 70_000


@pytest.mark.parametrize("length", [0, 10, 299_999, 300_001, 10**14])
def test_a_wrong_content_length_is_an_error(tmp_path: Path, length: int) -> None:
    def answer(request: Request) -> None:
        request.send_content(CONTENT, length=length)

    with serving(answer) as (address, _):
        message = download_error(tmp_path, address)
    assert f"its file has {length} bytes, not 300000" in message
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_content_range_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.tar.partial").write_bytes(CONTENT[:50_000])
    with serving(lambda request: request.send_content(CONTENT, total=7_000_000)) as (address, _):
        assert "has 7000000 bytes" in download_error(tmp_path, address)
    assert bytes_present(ARCHIVE, tmp_path) == 50_000


def test_a_part_that_was_not_requested_is_rejected(tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        request.start += 1
        request.send_content(CONTENT)

    (tmp_path / "a.tar.partial").write_bytes(CONTENT[:50_000])
    with serving(answer) as (address, _):
        assert "another part" in download_error(tmp_path, address)


def test_an_endless_response_is_cut_off(tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        request.send_response(200)
        request.end_headers()  # no length: until the connection closes
        try:
            for _ in range(10_000):
                request.wfile.write(bytes(1 << 16))
        except OSError:
            pass
        else:
            raise AssertionError("650 MB were read for a file of 0.3 MB")

    with serving(answer) as (address, _):
        assert "SHA-256" in download_error(tmp_path, address)


def test_wrong_bytes_are_deleted_and_the_next_mirror_is_tried(tmp_path: Path) -> None:
    with (
        serving(lambda request: request.send_content(OTHER)) as (wrong, wrong_starts),
        serving(lambda request: request.send_content(CONTENT)) as (correct, correct_starts),
    ):
        assert "SHA-256" in download_error(tmp_path, wrong)
        assert list(tmp_path.iterdir()) == []
        assert fetch_from(tmp_path, wrong, correct).read_bytes() == CONTENT
    assert wrong_starts == [0, 0]
    assert correct_starts == [0]


def test_wrong_partial_bytes_do_not_exclude_a_correct_mirror(tmp_path: Path) -> None:
    with (
        serving(lambda request: request.send_content(OTHER, cut=40_000)) as (wrong, _),
        serving(lambda request: request.send_content(CONTENT)) as (right, starts),
    ):
        (tmp_path / "a.tar.partial").write_bytes(OTHER[:60_000])
        assert fetch_from(tmp_path, NOWHERE, right).read_bytes() == CONTENT
        assert starts == [60_000, 0]
        assert wrong != right


def test_a_partial_file_that_is_too_long_is_restarted(tmp_path: Path) -> None:
    (tmp_path / "a.tar.partial").write_bytes(CONTENT + b"more")
    with serving(lambda request: request.send_content(CONTENT)) as (address, starts):
        assert fetch_from(tmp_path, address).read_bytes() == CONTENT
    assert starts == [0]


@pytest.mark.parametrize("to", ["/round/a.tar", "file:///etc/passwd", "ftp://127.0.0.1/a", "//["])
def test_endless_and_invalid_redirects_are_errors(tmp_path: Path, to: str) -> None:
    with serving(lambda request: request.redirect(to)) as (address, starts):
        message = download_error(tmp_path, address)
    assert "302" in message or "URL" in message or "url" in message
    assert len(starts) <= 12


def test_a_redirect_is_followed(tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        if request.path == "/there":
            request.send_content(CONTENT)
        else:
            request.redirect("/there")

    with serving(answer) as (address, _):
        assert fetch_from(tmp_path, address).read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (204, 1), (503, 3)])
def test_only_temporary_errors_are_retried(tmp_path: Path, status: int, requests: int) -> None:
    def answer(request: Request) -> None:
        request.send_response(status, "")
        request.send_header("Content-Length", "0")
        request.end_headers()

    with serving(answer) as (address, starts):
        assert f"HTTP status {status}" in download_error(tmp_path, address)
    assert len(starts) == requests


def test_invalid_responses_and_timeouts_are_errors(tmp_path: Path) -> None:
    def nonsense(request: Request) -> None:
        request.wfile.write(b"\x00\xff no http\r\n\r\n")

    def silence(request: Request) -> None:
        request.rfile.read(1)  # until the client gives up

    with serving(nonsense) as (one, _), serving(silence) as (other, _):
        message = download_error(tmp_path, one, other, NOWHERE)
    assert "no response" in message
    assert "refused" in message
    assert message.count("http://") == 3


def test_a_different_file_with_the_same_name_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(OTHER)
    with pytest.raises(InputError, match=r"a\.tar: is a different file"):
        fetch_from(tmp_path, NOWHERE)


def test_only_one_process_downloads_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "a.tar.partial").write_bytes(CONTENT[:10])
    with open(tmp_path / "a.tar.partial", "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "another process" in download_error(tmp_path, NOWHERE)


def test_a_symbolic_link_instead_of_the_partial_file_is_not_followed(tmp_path: Path) -> None:
    os.symlink(tmp_path / "elsewhere", tmp_path / "a.tar.partial")
    with pytest.raises(OSError):
        fetch_from(tmp_path, NOWHERE)
    assert not (tmp_path / "elsewhere").exists()
