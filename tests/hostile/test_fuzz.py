"""Every reader on good files with random changes: it reads them or raises InputError."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parsers import check, parsers

from frcnn_proposals.errors import InputError

pytestmark = pytest.mark.hostile

# Above what the process has when a test begins.
BYTES = 2 << 30
# Bytes that decide much where they stand: signs, ends, lengths.
_TELLING = st.sampled_from([b"\0", b"\xff", b"\xff" * 4, b"\xff" * 8, b"\x7f", b"(", b".", b"["])


@st.composite
def spoilt(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed with a few of its parts cut out, replaced or repeated; or any bytes at all."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=200))
    content = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        gone = draw(st.sampled_from([0, 1, 1, 2, 4, 8, 50]))
        put = draw(st.one_of(_TELLING, st.binary(max_size=8), st.just(content[at : at + 20] * 2)))
        content = content[:at] + put + content[at + gone :]
    return content


@pytest.fixture
def limited_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as statm:
        taken = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", parsers())
def test_it_is_read_or_refused(name: str, tmp_path: Path, limited_memory: None) -> None:
    parser = parsers()[name]
    path = tmp_path / parser.file

    @settings(
        max_examples=100,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(content=spoilt(parser.seeds()))
    def try_it(content: bytes) -> None:
        path.write_bytes(content)
        try:
            parser.read(path)
        except InputError as error:
            check(parser, str(error))

    try_it()
