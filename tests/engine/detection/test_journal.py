"""The journal of unfinished detections on a full disk."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from full_disk import no_file_may_exceed

from frcnn_cli.engine.detection.journal import Journal
from frcnn_cli.engine.records import Detections
from frcnn_proposals.errors import InputError

DETECTIONS = Detections(
    np.array([[0, 1, 2, 3]], np.float32), np.array([0.5], np.float32), np.array([1])
)


def test_a_journal_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json.partial"
    with no_file_may_exceed(10), pytest.raises(InputError, match=re.escape(f"{path}: cannot be")):
        Journal(path, {"model": "a" * 100})


def test_a_line_that_does_not_fit_is_named_and_earlier_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "x.json.partial"
    with Journal(path, {"model": "a"}) as journal:
        journal.add("first", "digest", DETECTIONS)
        size = path.stat().st_size
        with no_file_may_exceed(size + 10), pytest.raises(InputError, match=re.escape(str(path))):
            journal.add("second", "digest", DETECTIONS)
        with no_file_may_exceed(size + 10):
            journal.close()
    with Journal(path, {"model": "a"}) as journal:
        assert len(journal) == 1
        assert journal.known("first", "digest") is not None
