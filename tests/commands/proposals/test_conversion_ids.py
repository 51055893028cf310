"""`frcnn proposals convert` and `inspect`: ids that do not match are counted and named."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner, Result

from frcnn import read_proposals as read_named
from frcnn_cli.cli import cli
from frcnn_proposals.base import Proposals
from frcnn_proposals.formats import read_proposals, write_proposals
from frcnn_proposals.store.reader import open_store

BOXES = Proposals([[0, 0, 20, 20], [5, 5, 9, 9]], [0.25, 0.75])


def run(*arguments: object) -> Result:
    runner = CliRunner(env={"COLUMNS": "160"})
    return runner.invoke(cli, ["proposals", *map(str, arguments)])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def images(folder: str, *names: str, size: tuple[int, int] = (60, 50)) -> None:
    for name in names:
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", size).save(path)


class TestMissingImages:
    def test_a_store_does_not_contain_images_without_proposals(self, here: Path) -> None:
        write_proposals("a", {"1": BOXES, "9": BOXES}, "store")
        Path("ids.txt").write_text("1\n2\n3\n")
        result = run("convert", "a", "out", "--image-set", "ids.txt", "--allow-mismatch")
        assert result.exit_code == 0
        assert "2 of 3 images have no proposals (2, 3)" in result.output
        assert "1 id with proposals is not among the images (9)" in result.output
        assert "Converted 1 image " in result.output
        assert list(open_store("out")) == ["1"]

    def test_a_store_without_any_image_of_the_set_is_not_written(self, here: Path) -> None:
        write_proposals("a", {"9": BOXES}, "store")
        Path("ids.txt").write_text("1\n2\n")
        for to in ("store", "mmdet2"):
            arguments = ("convert", "a", "out", "--image-set", "ids.txt", "--to", to)
            result = run(*arguments, "--allow-mismatch")
            assert result.exit_code == 1
            assert "a: has no proposals for any image of ids.txt." in result.output
            assert not Path("out").exists()

    def test_nor_does_a_file_with_ids(self, here: Path) -> None:
        write_proposals("a", {"1": BOXES}, "store")
        Path("ids.txt").write_text("1\n2\n")
        options = ("--image-set", "ids.txt", "--allow-mismatch", "--to")
        for name in ("detectron2", "detectron", "npz", "fast-rcnn-mat"):
            assert run("convert", "a", "out", *options, name).exit_code == 0
            assert list(read_proposals("out", name, image_ids=["1"])) == ["1"]

    def test_an_ordered_file_keeps_their_place(self, here: Path) -> None:
        write_proposals("a", {"2": BOXES}, "store")
        Path("ids.txt").write_text("1\n2\n")
        arguments = ("convert", "a", "out", "--image-set", "ids.txt", "--to", "mmdet2")
        result = run(*arguments, "--allow-mismatch")
        assert result.exit_code == 0
        assert "1 of 2 images has no proposals (1)" in result.output
        assert [len(table) for table in pickle.loads(Path("out").read_bytes())] == [0, 2]


class TestImagesOption:
    def test_ids_without_an_image_are_an_error_unless_allowed(self, here: Path) -> None:
        images("images", "1.png", "3.png")
        write_proposals("a", {"1": BOXES, "x/1": BOXES}, "detectron2")
        result = run("convert", "a", "out", "--images", "images")
        assert result.exit_code == 1
        assert "1 id with proposals is not among the images (x/1)" in result.output
        assert not Path("out").exists()
        result = run("convert", "a", "out", "--images", "images", "--allow-mismatch")
        assert result.exit_code == 0
        assert "1 id with proposals is not among the images (x/1)" in result.output
        assert list(open_store("out")) == ["1", "x/1"]

    def test_an_image_set_whose_images_are_not_in_the_folder(self, here: Path) -> None:
        images("images", "other.png")
        write_proposals("a", {"1": BOXES}, "detectron2")
        Path("ids.txt").write_text("1\n")
        result = run("convert", "a", "out", "--images", "images", "--image-set", "ids.txt")
        assert result.exit_code == 1
        assert "1 id with proposals is not among the images (1)" in result.output

    def test_the_names_of_files_are_no_order(self, here: Path) -> None:
        """MMDetection's lists have the order of its annotation file."""
        images("images", "b.png", "c.png")
        images("images", "a.png", size=(20, 20))
        tables = [np.array([[0, 0, edge, edge, 0.5]]) for edge in (50, 20, 50)]
        Path("a.pkl").write_bytes(pickle.dumps(tables))
        result = run("convert", "a.pkl", "out", "--images", "images")
        assert result.exit_code == 1
        assert "its 3 lists of boxes have no ids" in result.output
        result = run("inspect", "a.pkl", "--images", "images")
        assert "certain: no other format has this structure" in result.output
        assert "without ids, its boxes were not checked against images" in result.output
        Path("ids.txt").write_text("b\na\nc\n")
        arguments = ("convert", "a.pkl", "out", "--images", "images", "--image-set", "ids.txt")
        assert run(*arguments).exit_code == 0
        assert open_store("out")["a"].boxes.tolist() == [[0, 0, 19, 19]]

    def test_boxes_of_a_store_are_checked_too(self, here: Path) -> None:
        images("images", "1.png", size=(20, 20))
        write_proposals("a", {"1": BOXES}, "store")
        result = run("convert", "a", "out", "--images", "images")
        assert result.exit_code == 1
        assert "image 1: box 1 (0, 0, 20, 20) is outside its image of 20 x 20" in result.output
        result = run("inspect", "a", "--images", "images")
        assert "1 image has boxes outside the image; image 1: box 1" in result.output

    def test_inspection_names_the_ids_that_were_not_checked(self, here: Path) -> None:
        images("images", "1.png")
        for format in ("store", "detectron2"):
            write_proposals("a", {"1": BOXES, "8": BOXES}, format)
            result = run("inspect", "a", "--images", "images")
            assert result.exit_code == 0
            assert "1 id with proposals is not among the images (8)" in result.output
            assert "their boxes were not checked" in result.output
            assert "not checked" not in run("inspect", "a").output

    def test_ids_are_shown_as_they_are_read(self, here: Path) -> None:
        images("images", "sub/000012.png", "000345.png")
        value = {"boxes": [np.array([[0, 0, 5, 5]])], "scores": [np.ones(1)], "indexes": [345]}
        Path("a.pkl").write_bytes(pickle.dumps(value))
        assert "whole numbers: 345" in run("inspect", "a.pkl").output
        assert "names: 000345" in run("inspect", "a.pkl", "--images", "images").output
        Path("a.csv").write_text("image,x1,y1,x2,y2\ndata/sub/000012.png,0,0,5,5\n")
        assert "names: sub/000012" in run("inspect", "a.csv", "--images", "images").output


def test_inspection_shows_the_order_of_boxes(here: Path) -> None:
    write_proposals("a", {"1": BOXES, "2": BOXES.top(2)}, "detectron2")
    result = run("inspect", "a", "--json", "out.json")
    expected = "by score, best first; 1 of 2 images has another order in the file"
    assert expected in result.output
    assert json.loads(Path("out.json").read_text())["survey"]["order"] == expected


def test_corners_are_an_option(here: Path) -> None:
    """Conversions to MMDetection by earlier versions had inclusive corners."""
    table = np.array([[0, 0, 59, 49, 0.5], [3, 7, 3, 9, 0.25]], np.float32)
    Path("a.pkl").write_bytes(pickle.dumps([table]))
    Path("ids.txt").write_text("1\n")
    arguments = ("convert", "a.pkl", "out", "--from", "mmdet2", "--image-set", "ids.txt")
    assert run(*arguments).exit_code == 1
    assert run(*arguments, "--corners", "inclusive").exit_code == 0
    again = read_named("a.pkl", "mmdet2", corners="inclusive", image_ids=["1"])
    np.testing.assert_array_equal(again["1"].boxes, table[:, :4])
    np.testing.assert_array_equal(open_store("out")["1"].boxes, table[:, :4])


@pytest.mark.parametrize("format", ["csv", "detectron2", "fast-rcnn-mat", "npz", "store"])
def test_images_that_differ_only_in_suffix_stay_two(here: Path, format: str) -> None:
    given = {name: BOXES.top(index) for index, name in enumerate(("a.bmp", "a.png", "b"))}
    write_proposals("a", given, "store")
    name = "out.csv" if format == "csv" else "out"
    result = run("convert", "a", name, "--to", format)
    assert result.exit_code == 0, result.output
    found = read_proposals(name)
    lengths = {image_id: len(found[image_id]) for image_id in found}
    assert lengths == {"a.bmp": 0, "a.png": 1, "b": 2}


def test_other_corners_than_those_of_the_format_need_its_name(here: Path) -> None:
    value = {"images/a.png": {"bboxes": np.array([[0.0, 0, 59, 49]]), "scores": np.array([0.5])}}
    Path("a.pkl").write_bytes(pickle.dumps(value))
    arguments = ("convert", "a.pkl", "out", "--corners", "inclusive")
    result = run(*arguments)
    assert result.exit_code == 1
    assert "has the structure of mmdet3, but another order, base or corners" in result.output
    assert "add its format with `--from`" in result.output
    assert run(*arguments, "--from", "mmdet3").exit_code == 0
    assert open_store("out")["a"].boxes.tolist() == [[0, 0, 59, 49]]
