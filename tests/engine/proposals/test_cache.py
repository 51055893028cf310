"""A cache that cannot be written: the message says how to choose another one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.detection.journal import Journal
from frcnn_cli.engine.proposals.cache import cache_explained, cache_folder
from frcnn_cli.engine.proposals.for_dataset import computed_proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.sources.dense import DenseBoxes

ADVICE = "\nSet FRCNN_CACHE to a folder for computed proposals and unfinished work."


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder in which no cache can be created, as a file is in its place."""
    (tmp_path / ".cache").write_text("")
    monkeypatch.delenv("FRCNN_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_proposals_of_a_dataset(home: Path, tmp_path: Path) -> None:
    generate_dataset(tmp_path / "shapes", images=8, seed=0, size=(64, 64))
    dataset = find_dataset(str(tmp_path / "shapes"), "train")
    with pytest.raises(InputError) as caught:
        computed_proposals(dataset, DenseBoxes(), workers=0)
    message = str(caught.value)
    assert message.startswith(str(home / ".cache" / "frcnn"))
    assert message.endswith(ADVICE)
    assert len(message.splitlines()) == 2


def test_another_split_is_added_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the proposals of the first split are in use, as in `train --eval-every`."""
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))
    generate_dataset(tmp_path / "shapes", images=8, seed=0, size=(64, 64))
    train, val = (find_dataset(str(tmp_path / "shapes"), split) for split in ("train", "val"))
    first = computed_proposals(train, DenseBoxes(), workers=0)
    inode = first.path.stat().st_ino
    second = computed_proposals(val, DenseBoxes(), workers=0)
    assert second.path == first.path
    assert first.path.stat().st_ino == inode
    for found in (first, second):
        assert all(len(found.proposals[record.image_id]) for record in found.dataset.images)
        assert len(found.proposals) == len(train) + len(val)


def test_unfinished_work(home: Path) -> None:
    path = cache_folder() / "detections" / "x.partial"
    with pytest.raises(InputError, match="Set FRCNN_CACHE"), cache_explained(path):
        Journal(path, {})


def test_a_folder_of_another_user(home: Path) -> None:
    path = cache_folder() / "x"
    with pytest.raises(InputError, match="Set FRCNN_CACHE"), cache_explained(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def test_other_errors_are_not_changed(home: Path) -> None:
    path = cache_folder() / "x"
    for error in (
        InputError(f"{path}: another process is writing this file"),
        InputError("image.jpg: cannot be written"),
        PermissionError(errno.EACCES, "denied", "image.jpg"),
    ):
        with pytest.raises(type(error)) as caught, cache_explained(path):
            raise error
        assert caught.value is error


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("FRCNN_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(InputError, match="Set FRCNN_CACHE"):
        cache_folder()
