"""How the images in proposal files are matched with those of a dataset or a folder."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import scipy.io

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.formats import read_proposals, write_proposals
from frcnn_proposals.formats.ids import matched_ids
from frcnn_proposals.sources.precomputed import Precomputed

BOX = [3.0, 4.0, 8.0, 9.0]
OTHER = [5.0, 5.0, 20.0, 20.0]


def csv(path: Path, *names: str) -> Path:
    rows = [f"{name},3,4,{8 + index},9" for index, name in enumerate(names)]
    path.write_text("\n".join(["image,x1,y1,x2,y2", *rows]))
    return path


def coco(path: Path, *names: str) -> Path:
    """One box per image, with file names; the image's place makes it one wider."""
    images = [{"id": index, "file_name": name} for index, name in enumerate(names)]
    boxes = [{"image_id": index, "bbox": [3, 4, 6 + index, 6]} for index in range(len(names))]
    path.write_text(json.dumps({"images": images, "annotations": boxes}))
    return path


def results(path: Path, *names: str) -> Path:
    boxes = [{"image_id": name, "bbox": [3, 4, 6 + i, 6]} for i, name in enumerate(names)]
    path.write_text(json.dumps(boxes))
    return path


def npz(path: Path, *names: str) -> Path:
    np.savez(path, **{name: np.array([[3, 4, 8 + i, 9]]) for i, name in enumerate(names)})
    return path


def detectron2(path: Path, *names: str) -> Path:
    boxes = [np.array([[3.0, 4, 9 + i, 10]]) for i in range(len(names))]
    scores = [np.ones(1)] * len(names)
    path.write_bytes(
        pickle.dumps({"ids": list(names), "boxes": boxes, "objectness_logits": scores})
    )
    return path


def mmdet3(path: Path, *names: str) -> Path:
    value = {name: {"bboxes": np.array([[3.0, 4, 9 + i, 10]])} for i, name in enumerate(names)}
    path.write_bytes(pickle.dumps(value))
    return path


def fast_rcnn(path: Path, *names: str) -> Path:
    boxes, images = np.empty((1, len(names)), object), np.empty((len(names), 1), object)
    for index, name in enumerate(names):
        boxes[0, index], images[index, 0] = np.array([[5.0, 4, 10, 9 + index]]), name
    scipy.io.savemat(path, {"boxes": boxes, "images": images})
    return path


NAMED = {
    "a.csv": csv,
    "a.json": coco,
    "b.json": results,
    "a.npz": npz,
    "a.pkl": detectron2,
    "b.pkl": mmdet3,
    "a.mat": fast_rcnn,
}
each_format = pytest.mark.parametrize("name", NAMED)


def right_edges(found: Any) -> dict[str, float]:
    return {image_id: float(found[image_id].boxes[0, 2]) for image_id in found}


class TestSuffixes:
    @each_format
    def test_they_are_removed_in_every_format(self, tmp_path: Path, name: str) -> None:
        path = NAMED[name](tmp_path / name, "a.jpg", "holiday.2019", "b.PNG")
        expected = {"a": 8.0, "holiday.2019": 9.0, "b": 10.0}
        assert right_edges(read_proposals(path)) == expected
        assert right_edges(read_proposals(path, image_ids=["b", "a"])) == expected

    @each_format
    def test_images_that_differ_only_in_suffix_stay_two(self, tmp_path: Path, name: str) -> None:
        path = NAMED[name](tmp_path / name, "a.jpg", "a.png")
        expected = {"a.jpg": 8.0, "a.png": 9.0}
        assert right_edges(read_proposals(path)) == expected
        assert right_edges(read_proposals(path, image_ids=["a.png", "a.jpg"])) == expected
        # Which of the two the dataset has is not known.
        assert right_edges(read_proposals(path, image_ids=["a"])) == expected

    def test_boxes_per_image_too(self, tmp_path: Path) -> None:
        for index, name in enumerate(("a.jpg", "a.png", "b.jpg")):
            np.savez(tmp_path / f"{name}.npz", boxes=np.array([[3, 4, 8 + index, 9]]))
        assert right_edges(read_proposals(tmp_path)) == {"a.jpg": 8, "a.png": 9, "b": 10}

    def test_they_are_written_once(self, tmp_path: Path) -> None:
        paths = {name: tmp_path / name for name in ("a.jpg", "a.png")}
        for path in paths.values():
            PIL.Image.new("L", (30, 30)).save(path)
        given = {"a.jpg": Proposals([BOX]), "a.png": Proposals([OTHER])}
        write_proposals(tmp_path / "out.json", given, "coco", image_paths=paths)
        written = json.loads((tmp_path / "out.json").read_text())
        assert [image["file_name"] for image in written["images"]] == ["a.jpg", "a.png"]
        assert right_edges(read_proposals(tmp_path / "out.json")) == {"a.jpg": 8, "a.png": 20}


class TestFolders:
    def mats(self, folder: Path, *names: str) -> Path:
        for index, name in enumerate(names):
            path = folder / f"{name}.mat"
            path.parent.mkdir(parents=True, exist_ok=True)
            scipy.io.savemat(path, {"boxes": np.array([[4.0, 5, 9 + index, 10]])})
        return folder

    def read(self, folder: Path, ids: list[str] | None = None) -> dict[str, float]:
        return right_edges(read_proposals(folder, "ijcv-mat", image_ids=ids))

    def test_the_id_is_the_path_below_the_folder(self, tmp_path: Path) -> None:
        self.mats(tmp_path, "a/000006", "b/000006", "c")
        expected = {"a/000006": 8, "b/000006": 9, "c": 10}
        assert self.read(tmp_path) == expected
        assert self.read(tmp_path, ["a/000006", "b/000006", "c"]) == expected

    def test_folders_that_the_dataset_does_not_have_are_ignored(self, tmp_path: Path) -> None:
        self.mats(tmp_path, "VOC2007/000005", "VOC2007/x/000007")
        assert self.read(tmp_path, ["000005", "x/000007"]) == {"000005": 8, "x/000007": 9}

    def test_two_files_are_never_boxes_of_one_image(self, tmp_path: Path) -> None:
        self.mats(tmp_path, "a/1", "b/1", "2", "c/2")
        found = self.read(tmp_path, ["1", "2"])
        assert sorted(found) == ["2", "a/1", "b/1", "c/2"]
        assert found["2"] == 10

    def test_sizes_are_checked_with_the_same_ids(self, tmp_path: Path) -> None:
        """Read as y1, x1, y2, x2 the box would be outside, so that is not the order."""
        (tmp_path / "a").mkdir()
        scipy.io.savemat(tmp_path / "a" / "7.mat", {"boxes": np.array([[30.0, 2, 60, 20]])})
        sizes = {"a/7": (60, 20)}
        found = read_proposals(tmp_path, base=1, image_ids=["a/7"], size_of=sizes.get)
        assert found["a/7"].boxes.tolist() == [[29, 1, 59, 19]]

    def test_hidden_files_are_skipped(self, tmp_path: Path) -> None:
        self.mats(tmp_path, "1")
        (tmp_path / "._1.mat").write_bytes(b"\0\5\26\7")
        (tmp_path / ".ipynb_checkpoints").mkdir()
        (tmp_path / ".ipynb_checkpoints" / "1.mat").write_bytes(b"")
        assert self.read(tmp_path) == {"1": 8}

    def test_linked_folders_and_suffixes_in_upper_case(self, tmp_path: Path) -> None:
        self.mats(tmp_path, "elsewhere/1", "boxes/2")
        (tmp_path / "boxes" / "2.mat").rename(tmp_path / "boxes" / "2.MAT")
        (tmp_path / "boxes" / "cam").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "boxes" / "loop").symlink_to(tmp_path)
        assert self.read(tmp_path / "boxes") == {"cam/1": 8, "2": 9}

    def test_a_source_finds_files_in_subfolders(self, tmp_path: Path) -> None:
        self.mats(tmp_path, "a/1", "b/1", "b/2")
        source = Precomputed(tmp_path, "ijcv-mat")
        assert source.propose_for("b/1").boxes[0, 2] == 9
        assert source.propose_for("2").boxes[0, 2] == 10
        with pytest.raises(InputError, match="no boxes for image '1'"):
            source.propose_for("1")

    def test_a_source_has_no_boxes_for_an_id_without_a_number(self, tmp_path: Path) -> None:
        source = Precomputed(csv(tmp_path / "a.csv", "None.jpg", "12.jpg"))
        assert source.propose_for("000012").boxes[0, 2] == 9
        with pytest.raises(InputError, match="no boxes for image 'dog'; it has boxes for 'None'"):
            source.propose_for("dog")

    def test_paths_of_mmdetection_end_with_the_id(self, tmp_path: Path) -> None:
        path = mmdet3(tmp_path / "a.pkl", "/data/set/sub/1.jpg", "/data/set/2.jpg")
        assert sorted(read_proposals(path, image_ids=["sub/1", "2"])) == ["2", "sub/1"]

    def test_paths_with_backslashes(self, tmp_path: Path) -> None:
        path = csv(tmp_path / "a.csv", "sub\\1.jpg", "./2.jpg")
        assert sorted(read_proposals(path)) == ["2", "sub/1"]


def test_the_closest_name_wins() -> None:
    assert matched_ids(["12.jpg"], ["12", "000012"]) == ["12"]
    assert matched_ids(["12.jpg"], ["12.jpg", "000012"]) == ["12.jpg"]
    assert matched_ids(["12"], ["a/12", "000012"]) == ["000012"]
    assert matched_ids(["x/a/1", "x/1"], ["a/1", "1"]) == ["a/1", "1"]
    assert matched_ids(["x/a/1", "1"], ["a/1", "1"]) == ["a/1", "1"]


class TestRepeatedIds:
    def coco(self, path: Path, images: list[dict[str, Any]]) -> Path:
        boxes = [{"image_id": 1, "bbox": [0, 0, 5, 5]}]
        path.write_text(json.dumps({"images": images, "annotations": boxes}))
        return path

    def test_two_images_with_one_number(self, tmp_path: Path) -> None:
        images = [{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}]
        with pytest.raises(InputError, match=r"two images have the id 1: a\.jpg and b\.jpg"):
            read_proposals(self.coco(tmp_path / "a.json", images))

    def test_two_images_with_one_name(self, tmp_path: Path) -> None:
        images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "a.jpg"}]
        with pytest.raises(InputError, match=r"more than one image has the file_name a\.jpg"):
            read_proposals(self.coco(tmp_path / "a.json", images))

    def test_one_image_named_in_two_ways(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="more than one list of boxes for image 'a'"):
            read_proposals(csv(tmp_path / "a.csv", "./a", "a"))

    def test_files_that_cannot_tell_two_images_apart_are_not_written(self, tmp_path: Path) -> None:
        given = {"12": Proposals([BOX]), "000012": Proposals([OTHER])}
        with pytest.raises(MisuseError, match="two images are 12"):
            write_proposals(tmp_path / "out", given, "detectron")
        given = {"a/x/1": Proposals([BOX]), "b/x/1": Proposals([OTHER])}
        paths = {name: Path(f"{name}.jpg") for name in given}
        with pytest.raises(MisuseError, match=r"two images are x/1\.jpg"):
            write_proposals(tmp_path / "out", given, "mmdet3", image_paths=paths)
        assert not (tmp_path / "out").exists()
