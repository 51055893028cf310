"""Listing a large folder asks the system about folders and links, not about each picture."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import pytest
from slopes import calls_during, slope

from frcnn_cli.engine.datasets.inputs import find_images, read_image_set
from frcnn_cli.engine.datasets.layouts import layouts_in
from frcnn_cli.engine.datasets.listing import folders_in
from frcnn_cli.engine.datasets.readers.voc_lists import VocLists
from frcnn_proposals.errors import InputError


def pictures(folder: Path, count: int) -> list[str]:
    folder.mkdir(parents=True)
    files = [folder / f"{number:05}.jpg" for number in range(count)]
    for file in files:
        file.touch()
    return [str(file) for file in files]


@pytest.mark.parametrize("beside", ["nothing", "a file", "a folder"])
def test_a_folder_of_pictures_is_listed_without_a_request_per_picture(
    tmp_path: Path, beside: str
) -> None:
    requests = []
    for count in (50, 300):
        folder = tmp_path / str(count)
        pictures(folder, count)
        if beside == "a file":
            (folder / "readme.md").touch()
        elif beside == "a folder":
            (folder / "more").mkdir()
        find_images([str(folder)])
        calls = calls_during(partial(find_images, [str(folder)]))
        requests.append((count, calls["stat"] + calls["lstat"]))
        assert beside != "nothing" or calls["scandir"] + calls["listdir"] <= 2
    assert slope(*requests) == 0


def test_single_files_are_collected_in_linear_work(tmp_path: Path) -> None:
    calls = []
    for count in (50, 200):
        files = pictures(tmp_path / str(count), count)
        calls.append((count, calls_during(partial(find_images, files))["commonpath"]))
    assert slope(*calls) == 0


def test_a_repeated_id_is_found_in_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "set.txt"
    ids = [f"image{number}" for number in range(50_000)]
    path.write_text("\n".join([*ids, ids[-1], ids[-2]]))
    start = time.process_time()
    with pytest.raises(InputError, match=f"lists image '{ids[-2]}' more than once"):
        read_image_set(path)
    assert time.process_time() - start < 5  # counting each of the ids takes 25 seconds


def test_folders_are_told_from_files_and_links(tmp_path: Path) -> None:
    for name in ("b", "a", ".hidden", "elsewhere/VOC2007/ImageSets/Main"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "elsewhere/VOC2007/JPEGImages").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "c.jpg").symlink_to("elsewhere/VOC2007")
    for target in ("loop", "nowhere", "file"):
        (tmp_path / f"to {target}").symlink_to(f"to {target}" if target == "loop" else target)
    assert [path.name for path in folders_in(tmp_path)] == ["a", "b", "c.jpg", "elsewhere"]
    only_links = tmp_path / "only links"
    only_links.mkdir()
    os.symlink(tmp_path / "c.jpg", only_links / "2007.jpg")
    (layout,) = layouts_in(only_links)
    assert layout.root == only_links / "2007.jpg"


def test_missing_images_are_explained_without_a_scan_for_each(tmp_path: Path) -> None:
    scans = []
    for count in (20, 80):
        root = tmp_path / str(count)
        for folder in ("ImageSets/Main", "JPEGImages", "Annotations"):
            (root / folder).mkdir(parents=True)
        for number in range(count):
            (root / f"Annotations/{number}.xml").touch()
        (root / "JPEGImages/3.webp2").touch()
        (root / "JPEGImages/3.heic2").touch()
        (root / "ImageSets/Main/train.txt").write_text("\n".join(map(str, range(count))))
        lists = VocLists(root)
        calls = calls_during(partial(getattr, lists, "images"))
        scans.append((count, calls["listdir"] + calls["scandir"]))
        faults = {image.image_id: image.missing for image in lists.images["train"]}
        assert faults["2"] == "lists 2, which is missing in JPEGImages"
        assert faults["3"] is not None
        assert faults["3"].startswith("lists 3: 3.heic2 in JPEGImages has no suffix")
    assert slope(*scans) == 0
