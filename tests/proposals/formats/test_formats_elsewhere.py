"""COCO json, output of segment-anything, CSV and .npz, written without our code."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats import read_proposals, write_proposals
from frcnn_proposals.formats.containers.masks import mask_extent

# As in COCO: boxes of 30 x 20 pixels at column 11 and row 5, and of 2 x 1 pixels at the origin.
BBOXES = [[11, 5, 30, 20], [0, 0, 2, 1]]
XYXY = [[11, 5, 40, 24], [0, 0, 1, 0]]


def as_json(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def mask(box: list[int], size: tuple[int, int] = (60, 50)) -> dict[str, object]:
    """Uncompressed run lengths of a filled box x, y, w, h, down the columns."""
    height, width = size
    x, y, w, h = box
    runs = [x * height + y]
    for _ in range(w):
        runs += [h, height - h]
    runs[-1] += height * width - sum(runs)
    return {"size": list(size), "counts": runs}


def test_coco_results_are_sorted_by_score(tmp_path: Path) -> None:
    entries = [
        {"image_id": 12, "category_id": 3, "bbox": BBOXES[1], "score": 0.25},
        {"image_id": "000345", "category_id": 1, "bbox": BBOXES[1], "score": 1},
        {"image_id": 12, "category_id": 1, "bbox": BBOXES[0], "score": 0.75},
    ]
    found = read_proposals(as_json(tmp_path / "a.json", entries), image_ids=["000012", "000345"])
    np.testing.assert_array_equal(found["000012"].boxes, XYXY)
    np.testing.assert_array_equal(found["000012"].scores, [0.75, 0.25])
    np.testing.assert_array_equal(found["000345"].boxes, XYXY[1:])


def test_coco_annotations_have_file_names_and_images_without_boxes(tmp_path: Path) -> None:
    value = {
        "images": [{"id": 7, "file_name": "a/cat.jpg"}, {"id": 8, "file_name": "dog.png"}],
        "annotations": [
            {"id": 1, "image_id": 7, "bbox": BBOXES[0]},
            {"id": 2, "image_id": 7, "segmentation": [[0, 0, 2, 0, 2, 1]]},
            {"id": 3, "image_id": 7, "segmentation": mask([3, 4, 5, 6])},
            {"id": 4, "image_id": 7, "bbox": [4, 4, 0.25, 3]},
        ],
        "categories": [],
    }
    found = read_proposals(as_json(tmp_path / "a.json", value))
    assert list(found) == ["a/cat", "dog"]
    expected = [*XYXY, [3, 4, 7, 9], [4, 4, 4, 6]]
    np.testing.assert_array_equal(found["a/cat"].boxes, expected)
    assert found["a/cat"].scores is None
    assert len(found["dog"]) == 0


def test_segment_anything_folder(tmp_path: Path) -> None:
    """The width in bbox is one less than that of the mask, so the mask is used."""
    coco_mask = pytest.importorskip("pycocotools.mask")
    drawn = np.zeros((60, 50), np.uint8, order="F")
    drawn[5:25, 11:41] = 1
    compressed = coco_mask.encode(drawn)
    compressed["counts"] = compressed["counts"].decode()
    dump = [
        {"segmentation": mask([0, 0, 2, 1]), "bbox": [0, 0, 1, 0], "predicted_iou": 0.5},
        {"segmentation": compressed, "bbox": [11, 5, 29, 19], "predicted_iou": 0.9},
        {"segmentation": {"size": [60, 50], "counts": [3000]}, "predicted_iou": 1.0},
    ]
    folder = tmp_path / "dump"
    folder.mkdir()
    as_json(folder / "street.json", dump)
    as_json(folder / "empty.json", [])
    boxes_alone = [{"bbox": [11, 5, 29, 19]}, {"bbox": [0, 0, 1, 0]}]
    as_json(folder / "sa_1.json", {"image": {"file_name": "sa_1.jpg"}, "annotations": boxes_alone})
    found = read_proposals(folder)
    assert sorted(found) == ["empty", "sa_1", "street"]
    np.testing.assert_array_equal(found["street"].boxes, XYXY)
    np.testing.assert_array_equal(found["street"].scores, np.float32([0.9, 0.5]))
    np.testing.assert_array_equal(found["sa_1"].boxes, XYXY)
    assert len(found["empty"]) == 0
    alone = read_proposals(folder / "street.json")
    np.testing.assert_array_equal(alone["street"].boxes, XYXY)


@pytest.mark.parametrize("compressed", [True, False])
def test_extents_of_masks_equal_those_of_pycocotools(compressed: bool) -> None:
    coco_mask = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(5)
    for _ in range(300):
        height, width = rng.integers(1, 40, 2)
        drawn = np.asfortranarray(rng.random((height, width)) < rng.choice([0.01, 0.5, 0.99]))
        rle = coco_mask.encode(drawn.astype(np.uint8))
        expected = coco_mask.toBbox(rle).tolist()
        if compressed:
            given = {"size": [int(height), int(width)], "counts": rle["counts"].decode()}
        else:
            flat = np.concatenate(([0], drawn.ravel(order="F"), [2]))
            edges = np.flatnonzero(np.diff(flat)) if drawn.any() else np.array([drawn.size])
            runs = np.diff(np.concatenate(([0], edges)))
            given = {"size": [int(height), int(width)], "counts": runs.tolist()}
        extent = mask_extent(given)
        assert (list(extent) if extent else [0, 0, 0, 0]) == expected


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [10, 10], "counts": [50]},
        {"size": [10, 10], "counts": [110, -10]},
        {"size": [10, 10], "counts": [1 << 63, 1]},
        {"size": [10, 10], "counts": [1 << 80]},
        {"size": [1 << 40, 1 << 40], "counts": [1]},
        {"size": [0, 0], "counts": []},
        {"size": [10], "counts": [10]},
        {"size": [10, 10], "counts": "ooooooooooooooooooooo"},
        {"size": [10, 10], "counts": "\u1234"},
        {"size": [10, 10], "counts": "o"},
        {"size": [10, 10], "counts": None},
        [],
        [[1]],
        [["a", "b"]],
        [[[[1]], 2]],
        7,
    ],
)
def test_hostile_masks_are_named(tmp_path: Path, segmentation: object) -> None:
    entries = [{"image_id": 1, "segmentation": segmentation}]
    with pytest.raises(InputError, match=r"a\.json: entry 0"):
        read_proposals(as_json(tmp_path / "a.json", entries))
    if isinstance(segmentation, dict):
        with pytest.raises(InputError, match=r"a\.json: mask 0"):
            read_proposals(as_json(tmp_path / "a.json", [{"segmentation": segmentation}]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "[" * 100_000,
        "null",
        "[1, 2]",
        '{"images": 3, "annotations": []}',
        '{"images": [{"id": 1}], "annotations": []}',
        '[{"image_id": 1, "bbox": [0, 0, 1e999, 1]}]',
        '[{"image_id": 1, "bbox": [0, 0, 1]}]',
        '[{"image_id": 1, "bbox": "4444"}]',
        '[{"image_id": 1, "bbox": [0, 0, 5, 5], "score": "high"}]',
        '[{"image_id": 1, "bbox": [0, 0, 0, 0]}]',
        '[{"image_id": 1, "bbox": [5, 5, -3, 3]}]',
        '[{"image_id": [], "bbox": [0, 0, 5, 5]}]',
        '[{"image_id": 1, "bbox": [0, 0, 5, 5], "score": NaN}]',
        '{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 2, '
        '"bbox": [0, 0, 5, 5]}]}',
        '[{"bbox": [0, 0, 5, null]}]',
        '[{"bbox": {}}]',
    ],
)
def test_other_json_is_rejected(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json"):
        read_proposals(tmp_path / "a.json")


def test_csv_with_columns_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "\ufeffScore;Xmin;ymin;XMAX;ymax;filename;class\n"
        "0.25;0;0;1;0;000012.jpg;a\n0.75;11;5;40;24;000012.jpg;b\n;;;;;cat.png;\n"
    )
    found = read_proposals(tmp_path / "a.csv")
    assert list(found) == ["000012", "cat"]
    np.testing.assert_array_equal(found["000012"].boxes, XYXY)
    np.testing.assert_array_equal(found["000012"].scores, [0.75, 0.25])


def test_csv_of_widths_and_of_ones(tmp_path: Path) -> None:
    rows = "\n".join(",".join(map(str, ["12", *bbox])) for bbox in BBOXES)
    (tmp_path / "a.csv").write_text(f"image_id,x,y,w,h\n{rows}\n")
    found = read_proposals(tmp_path / "a.csv", image_ids=["000012"])
    np.testing.assert_array_equal(found["000012"].boxes, XYXY)
    assert found["000012"].scores is None
    (tmp_path / "a.csv").write_text("image,x1,y1,x2,y2\n12,12,6,41,25\n")
    found = read_proposals(tmp_path / "a.csv", "csv", base=1)
    np.testing.assert_array_equal(found["12"].boxes, XYXY[:1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not any known"),
        ("a,b\n1,2\n", "is not any known"),
        ("image,x1,y1,x2\n", "is not any known"),
        ("image,x1,y1,x2,y2\ncat,1,2\n", "line 2"),
        ("image,x1,y1,x2,y2\ncat,1,2,3,four\n", "line 2"),
        ("image,x1,y1,x2,y2\ncat,1,2,3,nan\n", "not finite"),
        ("image,x1,y1,x2,y2\ncat,9,2,3,4\n", "has x2 < x1 or y2 < y1"),
        ("image,x1,y1,x2,y2\n,1,2,3,4\n", "the image is empty"),
        ('image,x1,y1,x2,y2\n"' + "x" * 200_000 + "\n", "line"),
        ("image,x1,y1,x2,y2\n\x00,1,2\n", "line 2"),
    ],
)
def test_other_tables_are_rejected(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_proposals(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes(b"image,x1\xff\xfe")
    with pytest.raises(InputError, match="as text"):
        read_proposals(tmp_path / "a.csv")


def test_npz_by_image_and_in_a_folder(tmp_path: Path) -> None:
    scored = np.concatenate((np.array(XYXY), [[0.5], [0.25]]), axis=1)
    np.savez(tmp_path / "a.npz", **{"000012": scored, "a/cat": np.zeros((0, 4))})
    found = read_proposals(tmp_path / "a.npz")
    assert sorted(found) == ["000012", "a/cat"]
    np.testing.assert_array_equal(found["000012"].boxes, XYXY)
    np.testing.assert_array_equal(found["000012"].scores, [0.5, 0.25])
    folder = tmp_path / "folder"
    folder.mkdir()
    np.savez_compressed(folder / "000012.npz", boxes=np.array(XYXY, order="F"), scores=[3, 2])
    np.testing.assert_array_equal(read_proposals(folder)["000012"].boxes, XYXY)
    np.testing.assert_array_equal(read_proposals(folder / "000012.npz")["000012"].scores, [3, 2])


def npy(shape: object, dtype: str = "<f4", data: bytes = b"") -> bytes:
    """A .npy file with this header and this data."""
    head = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    head = head.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + data


@pytest.mark.parametrize(
    "member",
    [
        npy("(1 << 40, 4)"),
        npy("(1000000000, 4)"),
        npy("(3, 4)", data=bytes(12)),
        npy("(-1, 4)"),
        npy("(1, 4)", "|O", b"cos\nsystem\n"),
        npy("(1, 4)", "<U9", bytes(144)),
        npy("(1, 1, 1, 4)", data=bytes(16)),
        b"\x93NUMPY\x09\x00",
        b"",
    ],
)
def test_hostile_npz_is_rejected(tmp_path: Path, member: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("boxes.npy", member)
    with pytest.raises(InputError, match=r"a\.npz"):
        read_proposals(tmp_path / "a.npz")


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """200 MB of zeros in 200 kB."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat.npy", npy("(12500000, 4)", data=bytes(200_000_000)))
    with pytest.raises(InputError, match="claims to hold 200000000 bytes"):
        read_proposals(tmp_path / "a.npz")


def test_pycocotools_reads_our_coco_json(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    PIL.Image.new("RGB", (100, 60)).save(tmp_path / "street.png")
    proposals = {"street": Proposals(np.array(XYXY), np.array([0.5, 0.25]))}
    paths = {"street": tmp_path / "street.png"}
    write_proposals(tmp_path / "a.json", proposals, "coco", image_paths=paths)
    read = coco.COCO(str(tmp_path / "a.json"))
    assert read.loadImgs([1]) == [{"id": 1, "file_name": "street.png", "width": 100, "height": 60}]
    assert [
        annotation["bbox"] for annotation in read.loadAnns(read.getAnnIds(imgIds=[1]))
    ] == BBOXES


def test_supervision_reads_our_coco_json(tmp_path: Path) -> None:
    """The example in docs/proposal-formats.md."""
    sv = pytest.importorskip("supervision")
    PIL.Image.new("RGB", (100, 60)).save(tmp_path / "street.png")
    proposals = {"street": Proposals(np.array(XYXY), np.array([0.5, 0.25]))}
    paths = {"street": tmp_path / "street.png"}
    write_proposals(tmp_path / "boxes.json", proposals, "coco", image_paths=paths)
    found = sv.DetectionDataset.from_coco(str(tmp_path), str(tmp_path / "boxes.json"))
    boxes = next(iter(found.annotations.values())).xyxy
    np.testing.assert_array_equal(boxes, [[11, 5, 41, 25], [0, 0, 2, 1]])  # continuous corners
    assert isinstance(found.classes, list)
