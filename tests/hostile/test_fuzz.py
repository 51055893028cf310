"""Every reader with randomly changed good files: it reads them or raises InputError.

Each runs in a separate process, so that a crash or a hang fails only one test.
"""

from __future__ import annotations

import traceback
import warnings
from pathlib import Path

import cv2
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parsers import check, parsers

from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.containers.isolated_process import IsolatedCallError, call_isolated

pytestmark = pytest.mark.hostile

# In addition to the memory of the process when a test starts.
BYTES = 2 << 30
# Processor time for all changes of one reader's files.
SECONDS = 120.0
# Bytes that often have a special meaning: signs, ends, lengths.
_SPECIAL = st.sampled_from([b"\0", b"\xff", b"\xff" * 4, b"\xff" * 8, b"\x7f", b"(", b".", b"["])


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed with a few parts removed, replaced or repeated; or arbitrary bytes."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=200))
    content = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        removed = draw(st.sampled_from([0, 1, 1, 2, 4, 8, 50]))
        inserted = draw(
            st.one_of(_SPECIAL, st.binary(max_size=8), st.just(content[at : at + 20] * 2))
        )
        content = content[:at] + inserted + content[at + removed :]
    return content


@pytest.mark.parametrize("name", parsers())
def test_a_damaged_file_is_read_or_rejected(name: str, tmp_path: Path) -> None:
    path = tmp_path / parsers()[name].file
    try:
        fault = call_isolated(fault_of, name, path, seconds=SECONDS, memory=BYTES)
    except IsolatedCallError as error:
        pytest.fail(f"{name}: {error}; it was reading {path}")
    assert not fault, fault


def fault_of(name: str, path: Path) -> str:
    """The traceback of a failed reader, else empty; the file at `path` is the last that it read."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)  # other threads do not exist in a fork
    cv2.setNumThreads(1)
    parser = parsers()[name]

    @settings(
        max_examples=100,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(content=damaged(parser.seeds()))
    def attempt(content: bytes) -> None:
        path.write_bytes(content)
        try:
            parser.read(path)
        except InputError as error:
            check(parser, str(error))

    try:
        attempt()
    except Exception:
        return traceback.format_exc()
    return ""
