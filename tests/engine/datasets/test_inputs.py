"""Ids of images in folders, globs, lists and several inputs, where names repeat."""

from __future__ import annotations

from pathlib import Path

import pytest
from folders import write_voc
from PIL import Image
from reporters import RecordingReporter

from frcnn_cli.engine.datasets.inputs import find_images, read_image_set
from frcnn_proposals.errors import MisuseError


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30)).save(path, format="PNG")
    return path


@pytest.fixture
def cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("cam1/1.png", "cam1/2.png", "cam2/1.png", "cam2/3.png"):
        image(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ids(*inputs: str) -> list[str]:
    return [image_id for image_id, _ in find_images(inputs)]


def test_images_that_differ_only_in_suffix_keep_it(tmp_path: Path) -> None:
    for name in ("up.jpg", "up.webp", "b.jpg", "sub/up.png"):
        image(tmp_path / name)
    assert ids(str(tmp_path)) == ["b", "up.jpg", "up.webp", "sub/up"]
    assert ids(str(tmp_path / "*.*")) == ["b", "up.jpg", "up.webp"]
    assert ids(*(str(tmp_path / name) for name in ("up.jpg", "up.webp"))) == ["up.jpg", "up.webp"]


@pytest.mark.parametrize(
    "inputs",
    [
        ("cam*/*.png",),
        ("cam1/1.png", "cam1/2.png", "cam2/1.png", "cam2/3.png"),
        ("cam1", "cam2"),
        ("cam1/*.png", "cam2"),
        ("list.txt",),
    ],
)
def test_names_that_folders_repeat_have_the_folder_before_them(
    cameras: Path, inputs: tuple[str, ...]
) -> None:
    Path("list.txt").write_text("cam1/1.png\ncam1/2.png\ncam2/1.png\ncam2/3.png\n")
    assert ids(*inputs) == ["cam1/1", "2", "cam2/1", "3"]
    assert ids(*(str(cameras / text) for text in inputs)) == ["cam1/1", "2", "cam2/1", "3"]


def test_lists_have_names_with_separators_that_are_no_line_ends(cameras: Path) -> None:
    names = ["a\u2028b", "a\u0085b", "a\x0cb"]
    paths = [image(cameras / f"{name}.png") for name in names]
    Path("list.txt").write_text("".join(f"{path.name}\r\n" for path in paths))
    assert ids("list.txt") == names
    Path("ids.txt").write_text("\n".join(names))
    assert read_image_set(Path("ids.txt")) == names


def test_a_list_of_anything_but_images_is_an_error_that_names_it(cameras: Path) -> None:
    """Such as notes, or an image set, which lists ids."""
    Path("notes.txt").write_text("# notes\n\nbuy a lens\n1.png\n")
    with pytest.raises(MisuseError, match=r"^notes\.txt: 'buy a lens' is not the path of an image"):
        find_images(["notes.txt"])
    image(cameras / "plain").rename(cameras / "buy a lens")
    assert ids("notes.txt") == ["buy a lens", "1"]


def test_folders_of_equal_names_have_the_path_before_their_ids(cameras: Path) -> None:
    for name in ("a/images/1.png", "b/images/1.png", "b/images/2.png"):
        image(cameras / name)
    assert ids("a/images", "b/images") == ["a/images/1", "b/images/1", "2"]


def test_an_image_in_several_inputs_is_used_once(cameras: Path) -> None:
    (cameras / "link.png").symlink_to(cameras / "cam1/1.png")
    assert ids("cam1", "cam1/1.png", "./cam1/*.png", str(cameras / "cam1")) == ["1", "2"]
    assert ids("cam1/1.png", "./cam1/1.png", str(cameras / "cam1/1.png")) == ["1"]
    assert ids(".", "cam1") == ["link", "cam1/1", "cam1/2", "cam2/1", "cam2/3"]


def test_a_glob_that_follows_a_loop_finds_each_image_once(cameras: Path) -> None:
    (cameras / "cam1/loop").symlink_to(cameras / "cam1")
    found = find_images(["cam1/**/*.png"])
    assert found == [("1", "cam1/1.png"), ("2", "cam1/2.png")]


def test_linked_folders_are_searched_and_hidden_files_are_not(cameras: Path) -> None:
    image(cameras / "elsewhere/4.png")
    (cameras / "cam1/more").symlink_to(cameras / "elsewhere")
    (cameras / "cam1/loop").symlink_to(cameras)
    image(cameras / "cam1/.trash/5.png")
    image(cameras / "cam1/._1.png")
    assert ids("cam1") == ["1", "2", "more/4"]


def test_images_beside_a_dataset_in_a_folder_are_named(cameras: Path) -> None:
    write_voc(cameras / "shapes", {"test": ["7"]}, {"7": [("disc", (1, 1, 20, 20))]})
    for name in ("b.png", "a.png"):
        image(cameras / name)
    reporter = RecordingReporter()
    assert [name for name, _ in find_images(["."], reporter=reporter)] == ["7"]
    assert reporter.warnings == [
        ".: reads the dataset shapes and skips 2 images beside it: a.png, b.png. "
        "To process these, give their names."
    ]
    find_images(["shapes"], reporter=(silent := RecordingReporter()))
    assert silent.warnings == []


def test_skipped_files_of_a_folder_are_named(cameras: Path) -> None:
    for name in ("a.HEIX", "clip.mp4", "1.txt", "1.json", "._2.png"):
        (cameras / "cam1" / name).touch()
    image(cameras / "cam1/b.JFIF")
    image(cameras / "cam1/c.mpo")
    reporter = RecordingReporter()
    assert [name for name, _ in find_images(["cam1"], reporter=reporter)] == ["1", "2", "b", "c"]
    assert reporter.warnings == [
        "cam1: 2 files skipped, without the suffix of a supported image: a.HEIX, clip.mp4."
    ]
