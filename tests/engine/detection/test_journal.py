"""The journal of unfinished detections: a full disk, and how images were decoded."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from full_disk import no_file_may_exceed

from frcnn_cli.engine.detection.dataset import detection_identity
from frcnn_cli.engine.detection.journal import Journal
from frcnn_cli.engine.detection.outputs import DetectionOutputs
from frcnn_cli.engine.detection.run import Detector, detect_in_files
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.settings import DetectSettings, Experiment
from frcnn_proposals.errors import InputError
from frcnn_proposals.sources.registry import make_source
from frcnn_proposals.store.provenance import Provenance

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


def test_full_and_reduced_decoding_are_not_mixed(small_model: FastRCNN, tmp_path: Path) -> None:
    """Older versions decoded all images at their full size, and stored no decoding."""
    model = tmp_path / "model"
    model.write_bytes(b"weights")
    loaded = LoadedModel(small_model, model, {}, Experiment())
    outputs = DetectionOutputs(json_path=tmp_path / "x.json")
    journal = tmp_path / "x.json.partial"
    for name in ("dense", "selective-search"):
        detector = Detector(loaded, DetectSettings(), make_source(name))
        proposals = Provenance.of(detector.source).fingerprint
        with Journal(journal, detection_identity(loaded, detector.settings, proposals)) as older:
            older.add("a", "digest", DETECTIONS)
        if name == "dense":
            detect_in_files(detector, [], outputs)
            assert not journal.exists()
        else:
            with pytest.raises(InputError, match="differs in its decoding"):
                detect_in_files(detector, [], outputs)
