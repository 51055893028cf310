"""Archives from servers that fail in every way that one can."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
from pathlib import Path

import pytest
from hostile_server import Request, serving

from frcnn_cli.engine.datasets.download.fetch import bytes_there, fetch
from frcnn_cli.engine.datasets.download.known import Archive
from frcnn_cli.engine.datasets.download.transfer import Patience
from frcnn_proposals.errors import InputError

CONTENT = random.Random(3).randbytes(300_000)
ARCHIVE = Archive("a.tar", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
OTHER = bytes(len(CONTENT))
QUICK = Patience(tries=3, progress=1000, seconds=0, timeout=0.5)
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody answers


def fetch_from(folder: Path, *mirrors: str) -> Path:
    return fetch(ARCHIVE, folder, mirrors, patience=QUICK)


def refused(folder: Path, *mirrors: str) -> str:
    with pytest.raises(InputError) as raised:
        fetch_from(folder, *mirrors)
    assert not (folder / "a.tar").exists()
    return str(raised.value)


def test_a_whole_archive_is_fetched_once(tmp_path: Path) -> None:
    with serving(lambda request: request.give(CONTENT)) as (address, starts):
        path = fetch_from(tmp_path, address + "/")
        assert path.read_bytes() == CONTENT
        assert fetch_from(tmp_path, address) == path
    assert starts == [0]
    assert [each.name for each in tmp_path.iterdir()] == ["a.tar"]


def test_cut_connections_are_gone_on_with(tmp_path: Path) -> None:
    with serving(lambda request: request.give(CONTENT, cut=100_000)) as (address, starts):
        assert fetch_from(tmp_path, address).read_bytes() == CONTENT
    assert starts == [0, 100_000, 200_000]


def test_a_server_without_ranges_begins_again(tmp_path: Path) -> None:
    (tmp_path / "a.tar.partial").write_bytes(CONTENT[:50_000])
    with serving(lambda request: request.give(CONTENT, ranges=False)) as (address, starts):
        assert fetch_from(tmp_path, address).read_bytes() == CONTENT
    assert starts == [50_000]


def test_a_server_that_always_cuts_at_one_place_is_given_up(tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        request.give(CONTENT, ranges=False, cut=70_000)

    with serving(answer) as (address, starts):
        said = refused(tmp_path, address)
    assert "ends after 70000 of 300000 bytes" in said
    assert len(starts) == 4  # the first, which went far, and three more
    assert bytes_there(ARCHIVE, tmp_path) == 70_000


@pytest.mark.parametrize("length", [0, 10, 299_999, 300_001, 10**14])
def test_lies_about_the_length_are_noticed(tmp_path: Path, length: int) -> None:
    def answer(request: Request) -> None:
        request.give(CONTENT, length=length)

    with serving(answer) as (address, _):
        said = refused(tmp_path, address)
    assert f"its file has {length} bytes, not 300000" in said
    assert list(tmp_path.iterdir()) == []


def test_a_lie_about_the_range_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.tar.partial").write_bytes(CONTENT[:50_000])
    with serving(lambda request: request.give(CONTENT, total=7_000_000)) as (address, _):
        assert "has 7000000 bytes" in refused(tmp_path, address)
    assert bytes_there(ARCHIVE, tmp_path) == 50_000


def test_another_part_than_asked_for_is_not_taken(tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        request.start += 1
        request.give(CONTENT)

    (tmp_path / "a.tar.partial").write_bytes(CONTENT[:50_000])
    with serving(answer) as (address, _):
        assert "another part" in refused(tmp_path, address)


def test_bytes_without_an_end_are_cut_off(tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        request.send_response(200)
        request.end_headers()  # no length: until the connection closes
        try:
            for _ in range(10_000):
                request.wfile.write(bytes(1 << 16))
        except OSError:
            pass
        else:
            raise AssertionError("650 MB were taken of a file of 0.3 MB")

    with serving(answer) as (address, _):
        assert "SHA-256" in refused(tmp_path, address)


def test_wrong_bytes_are_not_kept_and_the_next_mirror_is_asked(tmp_path: Path) -> None:
    with (
        serving(lambda request: request.give(OTHER)) as (wrong, asked_wrong),
        serving(lambda request: request.give(CONTENT)) as (right, asked_right),
    ):
        assert "SHA-256" in refused(tmp_path, wrong)
        assert list(tmp_path.iterdir()) == []
        assert fetch_from(tmp_path, wrong, right).read_bytes() == CONTENT
    assert asked_wrong == [0, 0]
    assert asked_right == [0]


def test_a_wrong_beginning_does_not_spoil_the_right_mirror(tmp_path: Path) -> None:
    with (
        serving(lambda request: request.give(OTHER, cut=40_000)) as (wrong, _),
        serving(lambda request: request.give(CONTENT)) as (right, starts),
    ):
        (tmp_path / "a.tar.partial").write_bytes(OTHER[:60_000])
        assert fetch_from(tmp_path, NOWHERE, right).read_bytes() == CONTENT
        assert starts == [60_000, 0]
        assert wrong != right


def test_a_partial_file_that_is_too_long_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "a.tar.partial").write_bytes(CONTENT + b"more")
    with serving(lambda request: request.give(CONTENT)) as (address, starts):
        assert fetch_from(tmp_path, address).read_bytes() == CONTENT
    assert starts == [0]


@pytest.mark.parametrize("to", ["/round/a.tar", "file:///etc/passwd", "ftp://127.0.0.1/a", "//["])
def test_redirects_end(tmp_path: Path, to: str) -> None:
    with serving(lambda request: request.redirect(to)) as (address, starts):
        said = refused(tmp_path, address)
    assert "302" in said or "URL" in said or "url" in said
    assert len(starts) <= 12


def test_a_redirect_is_followed(tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        if request.path == "/there":
            request.give(CONTENT)
        else:
            request.redirect("/there")

    with serving(answer) as (address, _):
        assert fetch_from(tmp_path, address).read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (204, 1), (503, 3)])
def test_what_may_pass_is_asked_again(tmp_path: Path, status: int, asked: int) -> None:
    def answer(request: Request) -> None:
        request.send_response(status, "")
        request.send_header("Content-Length", "0")
        request.end_headers()

    with serving(answer) as (address, starts):
        assert f"it answers {status}" in refused(tmp_path, address)
    assert len(starts) == asked


def test_nonsense_and_silence_end(tmp_path: Path) -> None:
    def nonsense(request: Request) -> None:
        request.wfile.write(b"\x00\xff no http\r\n\r\n")

    def silence(request: Request) -> None:
        request.rfile.read(1)  # until the client gives up

    with serving(nonsense) as (one, _), serving(silence) as (other, _):
        said = refused(tmp_path, one, other, NOWHERE)
    assert "it does not answer" in said
    assert "refused" in said
    assert said.count("http://") == 3


def test_a_file_of_that_name_that_is_another_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(OTHER)
    with pytest.raises(InputError, match=r"a\.tar: is not the archive"):
        fetch_from(tmp_path, NOWHERE)


def test_one_run_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "a.tar.partial").write_bytes(CONTENT[:10])
    with open(tmp_path / "a.tar.partial", "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "another run" in refused(tmp_path, NOWHERE)


def test_a_link_in_the_place_of_the_partial_file_is_not_written_through(tmp_path: Path) -> None:
    os.symlink(tmp_path / "elsewhere", tmp_path / "a.tar.partial")
    with pytest.raises(OSError):
        fetch_from(tmp_path, NOWHERE)
    assert not (tmp_path / "elsewhere").exists()
