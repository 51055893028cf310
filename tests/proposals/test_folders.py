"""The files in a folder and its subfolders: hidden names, links and loops."""

from __future__ import annotations

from pathlib import Path

import pytest

from frcnn_proposals.errors import InputError
from frcnn_proposals.folders import files_below


def write(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(folder: Path) -> list[str]:
    return [Path(path).relative_to(folder).as_posix() for path in files_below(folder)]


def test_files_come_before_subfolders_in_order_of_name(tmp_path: Path) -> None:
    write(tmp_path / "b/2", tmp_path / "b/1", tmp_path / "a/c/3", tmp_path / "z")
    assert names(tmp_path) == ["z", "a/c/3", "b/1", "b/2"]


def test_names_with_a_dot_are_skipped_below_the_folder_but_not_above(tmp_path: Path) -> None:
    root = tmp_path / ".cache/photos"
    write(root / "a.jpg", root / "._a.jpg", root / ".ipynb_checkpoints/a-checkpoint.jpg")
    assert names(root) == ["a.jpg"]


def test_linked_folders_are_read_after_the_others(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere/cam/1", tmp_path / "photos/sub/2", tmp_path / ".hidden/3")
    (tmp_path / "photos/a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos/b").symlink_to(tmp_path / ".hidden")
    assert names(tmp_path / "photos") == ["sub/2", "a/cam/1", "b/3"]
    (tmp_path / "all").symlink_to(tmp_path / "photos")
    assert names(tmp_path / "all") == ["sub/2", "a/cam/1", "b/3"]


def test_links_to_folders_above_end(tmp_path: Path) -> None:
    write(tmp_path / "data/train/1", tmp_path / "data/val/2")
    (tmp_path / "data/train/loop").symlink_to(tmp_path / "data/train")
    (tmp_path / "data/train/up").symlink_to(tmp_path / "data")
    assert names(tmp_path / "data/train") == ["1"]


def test_a_folder_with_several_names_is_read_once_at_its_own_place(tmp_path: Path) -> None:
    folders = [tmp_path / "data" / name for name in "abcdefgh"]
    write(*(folder / "1" for folder in folders))
    for folder in folders:  # every folder is linked from every other one
        for other in folders:
            if other != folder:
                (folder / f"to_{other.name}").symlink_to(other)
    assert names(tmp_path / "data") == [f"{name}/1" for name in "abcdefgh"]


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone: cannot be read"):
        files_below(tmp_path / "gone")
