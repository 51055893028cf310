"""Proposals that were computed from other images than those at hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image
from reporters import RecordingReporter

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.evaluation.proposal_recall import measure_recall
from frcnn_cli.engine.proposals.for_dataset import given_proposals
from frcnn_cli.engine.proposals.propose import propose
from frcnn_proposals.errors import InputError
from frcnn_proposals.sources.dense import DenseBoxes


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    folder = tmp_path / "shapes"
    generate_dataset(folder, images=12, seed=1, size=(128, 96))
    return folder


def store_of_smaller_copies(shapes: Path, count: int) -> Path:
    """A store whose first `count` images of test had half the size."""
    copies = shapes.with_name("copies")
    shutil.copytree(shapes / "JPEGImages", copies)
    for image in find_dataset(str(shapes), "test").images[:count]:
        with Image.open(copies / image.path.name) as pixels:
            pixels.resize((64, 48)).save(copies / image.path.name)
    store = shapes.with_name("copies.proposals")
    propose([str(copies)], DenseBoxes(), store, workers=0)
    return store


def test_a_store_of_smaller_copies_is_an_error(shapes: Path) -> None:
    store, dataset = store_of_smaller_copies(shapes, 12), find_dataset(str(shapes), "test")
    message = "3 of 3 images differ from those that the proposals were computed from"
    with pytest.raises(InputError, match=message) as error:
        given_proposals(dataset, store)
    assert "is 128 x 96 pixels, not 64 x 48" in str(error.value)
    with pytest.raises(InputError, match=message):
        measure_recall(store, str(shapes))
    reporter = RecordingReporter()
    assert len(given_proposals(dataset, store, allow_mismatch=True, reporter=reporter).dataset) == 3
    measure_recall(store, str(shapes), allow_mismatch=True, reporter=reporter)
    assert [message in warning for warning in reporter.warnings] == [True, True]


def test_a_store_with_a_few_smaller_copies_is_a_warning(shapes: Path) -> None:
    reporter = RecordingReporter()
    store = store_of_smaller_copies(shapes, 1)
    given_proposals(find_dataset(str(shapes), "test"), store, reporter=reporter)
    (warning,) = reporter.warnings
    assert "1 of 3 images differs from those" in warning
