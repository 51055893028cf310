"""Every format, tested with files in its documented layout, written without our code."""

from __future__ import annotations

import pickle
import sys
from collections import OrderedDict
from pathlib import Path

import h5py
import numpy as np
import PIL.Image
import pytest
import scipy.io

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.formats import read_proposals, write_proposals
from frcnn_proposals.formats.known import FORMATS, STORE, WRITABLE, format_names
from frcnn_proposals.formats.layout import ORDERS, BoxLayout, from_layout, to_layout

# A box of 30 x 20 pixels whose first pixel is in column 11, row 5 (0-based), and the whole image of
# 100 x 60; as x1, y1, x2, y2, 0-based, inclusive corners.
FIRST = np.array([[11, 5, 40, 24], [0, 0, 99, 59]])
SECOND = np.array([[3, 7, 3, 9]])
IDS = ["000012", "000345"]
SCORES = [np.array([0.5, -1.5]), np.array([7.0])]
YXYX_1 = [table[:, [1, 0, 3, 2]] + 1 for table in (FIRST, SECOND)]
XYXY_1 = [FIRST + 1, SECOND + 1]
# The outer edge of the last pixel: x2 + 1, y2 + 1.
CONTINUOUS = [np.add(table, [0, 0, 1, 1]) for table in (FIRST, SECOND)]


def cell(items, column=False) -> np.ndarray:
    row = np.empty(len(items), object)
    for index, item in enumerate(items):
        row[index] = item
    return row.reshape(-1, 1) if column else row.reshape(1, -1)


def mat(path: Path, **variables) -> Path:
    scipy.io.savemat(path, variables)
    return path


def pkl(path: Path, value, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def assert_boxes(found, ids=IDS, scores=None):
    assert sorted(found) == sorted(ids)
    for image_id, table, row in zip(ids, (FIRST, SECOND), scores or (None, None), strict=False):
        np.testing.assert_array_equal(found[image_id].boxes, table)
        if row is None:
            assert found[image_id].scores is None
        else:
            np.testing.assert_array_equal(found[image_id].scores, row.astype(np.float32))


def test_fast_rcnn_dataset_mat(tmp_path):
    images = cell(IDS, column=True)
    for boxes in (cell(YXYX_1), cell([table.astype(np.uint16) for table in YXYX_1], column=True)):
        assert_boxes(read_proposals(mat(tmp_path / "a.mat", boxes=boxes, images=images)))


def test_fast_rcnn_dataset_mat_without_ids_needs_the_list(tmp_path):
    path = mat(tmp_path / "a.mat", boxes=cell(YXYX_1))
    with pytest.raises(InputError, match="2 lists of boxes have no ids"):
        read_proposals(path)
    assert_boxes(read_proposals(path, image_ids=IDS))
    with pytest.raises(InputError, match=r"boxes for 2 images, but the image list has 3"):
        read_proposals(path, image_ids=[*IDS, "x"])


def test_ijcv_mat(tmp_path):
    path = mat(tmp_path / "000012.mat", boxes=FIRST + 1)
    assert_boxes(read_proposals(path, "ijcv-mat"), IDS[:1])


def test_demo_mat(tmp_path):
    path = mat(tmp_path / "000012_boxes.mat", boxes=FIRST.astype(np.uint16))
    assert_boxes(read_proposals(path), IDS[:1])


def test_mcg_mat(tmp_path):
    path = mat(tmp_path / "000012.mat", boxes=YXYX_1[0])
    assert_boxes(read_proposals(path, "mcg-mat"), IDS[:1])
    path = mat(tmp_path / "000012.mat", bboxes=YXYX_1[0], scores=SCORES[0][:, None])
    assert_boxes(read_proposals(path), IDS[:1], SCORES)


def test_hosang_mat_in_folders_of_the_first_letters(tmp_path):
    for image_id, table, scores in zip(IDS, XYXY_1, SCORES, strict=True):
        (tmp_path / image_id[:4]).mkdir()
        mat(
            tmp_path / image_id[:4] / f"{image_id}.mat",
            boxes=table,
            scores=scores[:, None],
            num_candidates=np.array([[len(table)]]),
        )
    found = read_proposals(tmp_path)
    assert_boxes(found, scores=SCORES)
    assert len(found) == 2
    with pytest.raises(KeyError):
        found["x"]


def test_hosang_mat_of_several_runs(tmp_path):
    path = mat(
        tmp_path / "000012.mat",
        boxes=cell([XYXY_1[1], XYXY_1[0]]),
        scores=cell([SCORES[1][:, None], SCORES[0][:, None]]),
        num_candidates=np.array([[1, 2]]),
    )
    assert_boxes(read_proposals(path), IDS[:1], SCORES)


def test_edgeboxes_mat(tmp_path):
    # x, y, w, h of the same boxes, 1-based, with the score.
    bbs = [
        np.array([[12, 6, 30, 20, 0.5], [1, 1, 100, 60, -1.5]]),
        np.array([[4, 8, 1, 3, 7.0]]),
    ]
    assert_boxes(read_proposals(mat(tmp_path / "000012.mat", bbs=bbs[0])), IDS[:1], SCORES)
    path = mat(tmp_path / "all.mat", bbs=cell(bbs))
    assert_boxes(read_proposals(path, image_ids=IDS), scores=SCORES)


def test_wsddn_mat(tmp_path):
    path = mat(
        tmp_path / "a.mat",
        images=cell(IDS),
        boxes=cell(YXYX_1),
        boxScores=cell([row[:, None] for row in SCORES]),
    )
    assert_boxes(read_proposals(path), scores=SCORES)


def test_sergeyk_mat_has_no_certain_base(tmp_path):
    # Without a box of the whole image both bases are possible.
    tables = [table[:, [1, 0, 3, 2]] for table in (FIRST[:1], SECOND)]
    path = mat(tmp_path / "a.mat", all_boxes=cell(tables))
    with pytest.raises(
        InputError,
        match=r"(?s)several formats.*`--base` and .* of `frcnn proposals convert`",
    ):
        read_proposals(path, image_ids=IDS)
    found = read_proposals(path, image_ids=IDS, base=0)
    np.testing.assert_array_equal(found["000345"].boxes, SECOND)
    found = read_proposals(path, image_ids=IDS, base=1)
    np.testing.assert_array_equal(found["000345"].boxes, SECOND - 1)
    # A coordinate of 0 proves base 0.
    path = mat(tmp_path / "b.mat", all_boxes=cell([FIRST[:, [1, 0, 3, 2]], tables[1]]))
    assert_boxes(read_proposals(path, image_ids=IDS))
    with pytest.raises(InputError, match="a coordinate of 0 in 1-based boxes"):
        read_proposals(path, image_ids=IDS, base=1)


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("key", ["indexes", "ids"])
def test_detectron_pkl(tmp_path, key, protocol):
    value = {
        "boxes": [FIRST.astype(np.float32), SECOND.astype(np.float32)],
        "scores": [row.astype(np.float32) for row in SCORES],
        key: [12, np.int64(345)],
        "cfg": "TRAIN: {}",
    }
    path = pkl(tmp_path / "a.pkl", value, protocol)
    assert_boxes(read_proposals(path, image_ids=IDS), scores=SCORES)
    assert sorted(read_proposals(path)) == ["12", "345"]


def test_detectron_scores_of_zero_are_none(tmp_path):
    """Written like facebookresearch/Detectron tools/convert_selective_search.py does."""
    value = {"boxes": [FIRST, SECOND], "scores": [np.zeros(2), np.zeros(1)], "indexes": [12, 345]}
    assert_boxes(read_proposals(pkl(tmp_path / "a.pkl", value), image_ids=IDS))


def test_whole_number_ids_of_voc2012(tmp_path):
    value = {"boxes": [FIRST], "scores": [SCORES[0]], "indexes": [2008000002]}
    found = read_proposals(pkl(tmp_path / "a.pkl", value), image_ids=["2008_000002"])
    assert list(found) == ["2008_000002"]


def test_whole_number_ids_that_two_images_share_stay_numbers(tmp_path):
    value = {"boxes": [FIRST], "scores": [SCORES[0]], "indexes": [12]}
    found = read_proposals(pkl(tmp_path / "a.pkl", value), image_ids=["000012", "12_", "0012"])
    assert list(found) == ["12"]


@pytest.mark.parametrize("ids", [IDS, [12, 345], ["12", "345"]])
def test_detectron2_pkl_has_continuous_corners(tmp_path, ids):
    value = {
        "ids": ids,
        "boxes": CONTINUOUS,
        "objectness_logits": SCORES,
        "bbox_mode": 0,
    }
    path = pkl(tmp_path / "a.pkl", value)
    assert_boxes(read_proposals(path, image_ids=IDS), scores=SCORES)
    del value["bbox_mode"]
    assert_boxes(read_proposals(pkl(path, value), image_ids=IDS), scores=SCORES)


def test_detectron2_pkl_of_widths(tmp_path):
    value = {
        "ids": IDS,
        "boxes": [np.array([[11, 5, 30, 20], [0, 0, 100, 60]]), np.array([[3, 7, 1, 3]])],
        "objectness_logits": SCORES,
        "bbox_mode": 1,
    }
    assert_boxes(read_proposals(pkl(tmp_path / "a.pkl", value)), scores=SCORES)
    with pytest.raises(InputError, match="not any known"):
        read_proposals(pkl(tmp_path / "a.pkl", {**value, "bbox_mode": 4}))


def test_mmdet2_pkl(tmp_path):
    path = pkl(tmp_path / "a.pkl", [table.astype(np.float32) for table in CONTINUOUS])
    assert_boxes(read_proposals(path, "mmdet2", image_ids=IDS))
    scored = [np.column_stack(pair) for pair in zip(CONTINUOUS, SCORES, strict=True)]
    path = pkl(tmp_path / "a.pkl", scored)
    assert_boxes(read_proposals(path, image_ids=IDS), scores=SCORES)
    with pytest.raises(InputError, match="--image-set"):
        read_proposals(path)


def test_mmdet3_pkl(tmp_path):
    value = {
        "JPEGImages/000012.jpg": {"bboxes": CONTINUOUS[0], "scores": SCORES[0]},
        "/data/VOC2007/JPEGImages/000345.jpg": {"bboxes": CONTINUOUS[1], "scores": SCORES[1]},
    }
    assert_boxes(read_proposals(pkl(tmp_path / "a.pkl", value)), scores=SCORES)
    for entry in value.values():
        del entry["scores"]
    assert_boxes(read_proposals(pkl(tmp_path / "a.pkl", OrderedDict(value))))


def test_mmdet3_equal_names_keep_their_folders(tmp_path):
    value = {"train/1.jpg": {"bboxes": CONTINUOUS[0]}, "val/1.jpg": {"bboxes": CONTINUOUS[1]}}
    assert_boxes(read_proposals(pkl(tmp_path / "a.pkl", value)), ["train/1", "val/1"])


def test_py_faster_rcnn_pkl(tmp_path):
    path = pkl(tmp_path / "voc_2007_trainval_rpn.pkl", [FIRST, SECOND])
    assert_boxes(read_proposals(path, "py-faster-rcnn", image_ids=IDS))


def test_real_demo_files(shared_data):
    """The two files of the first Fast R-CNN, compared with SciPy's reader."""
    folder = shared_data / "fast-rcnn-demo"
    together = read_proposals(folder)
    assert sorted(together) == ["000004", "001551"]
    for image_id in together:
        path = folder / f"{image_id}_boxes.mat"
        expected = scipy.io.loadmat(path)["boxes"]
        for found in (read_proposals(path), read_proposals(path, "demo-mat"), together):
            np.testing.assert_array_equal(found[image_id].boxes, expected)


def test_real_demo_files_are_not_read_as_other_formats(shared_data):
    path = shared_data / "fast-rcnn-demo" / "000004_boxes.mat"
    with pytest.raises(InputError, match="a coordinate of 0 in 1-based boxes"):
        read_proposals(path, "ijcv-mat")
    with pytest.raises(InputError, match=r"it contains a .mat file with boxes uint16"):
        read_proposals(path, "fast-rcnn-mat")


class TestAmbiguousAndInvalidFiles:
    def test_boxes_only_fit_three_formats(self, tmp_path):
        path = mat(tmp_path / "000012.mat", boxes=FIRST[:1])
        with pytest.raises(InputError, match="ijcv-mat") as error:
            read_proposals(path)
        for name in ("demo-mat", "mcg-mat", "--from"):
            assert name in str(error.value)

    def test_order_and_base_determine_the_format(self, tmp_path):
        path = mat(tmp_path / "000012.mat", boxes=YXYX_1[0])
        assert_boxes(read_proposals(path, order="yxyx", base=1), IDS[:1])
        with pytest.raises(
            InputError, match="structure of ijcv-mat, demo-mat, mcg-mat, but another"
        ):
            read_proposals(path, order="yxyx", base=0)
        # A given format is read with the given order and base.
        np.testing.assert_array_equal(
            read_proposals(path, "mcg-mat", base=0)["000012"].boxes, FIRST + 1
        )

    def test_the_image_size_determines_the_order(self, tmp_path):
        # 100 x 60: read as x, y the whole-image box would end outside.
        path = mat(tmp_path / "000012.mat", boxes=YXYX_1[0])
        found = read_proposals(path, base=1, size_of={"000012": (100, 60)}.get)
        assert_boxes(found, IDS[:1])

    def test_a_box_outside_its_image(self, tmp_path):
        path = mat(tmp_path / "000012.mat", boxes=XYXY_1[0])
        with pytest.raises(InputError, match="1 pixels outside its image of 99 x 60"):
            read_proposals(path, "ijcv-mat", size_of={"000012": (99, 60)}.get)

    def test_an_inverted_box(self, tmp_path):
        value = {"boxes": [FIRST[:, [2, 1, 0, 3]]], "scores": [SCORES[0]], "indexes": [12]}
        with pytest.raises(InputError, match="image 12: box 0 has x2 < x1 or y2 < y1"):
            read_proposals(pkl(tmp_path / "a.pkl", value))

    def test_a_box_with_nan(self, tmp_path):
        table = FIRST.astype(float)
        table[1, 2] = np.nan
        with pytest.raises(InputError, match="not finite"):
            read_proposals(mat(tmp_path / "000012.mat", boxes=table), "ijcv-mat")

    def test_one_id_twice(self, tmp_path):
        value = {"boxes": [FIRST, SECOND], "scores": SCORES, "indexes": [12, 12]}
        with pytest.raises(InputError, match="more than one list of boxes for image '12'"):
            read_proposals(pkl(tmp_path / "a.pkl", value))


@pytest.mark.parametrize(
    "value", [{}, [], {"boxes": [FIRST]}, [1, 2], "text", {"a": {"b": 1}}, [FIRST.ravel()]]
)
def test_other_pickles_are_rejected(tmp_path, value):
    with pytest.raises(InputError, match="not any known proposal format"):
        read_proposals(pkl(tmp_path / "a.pkl", value))


OTHER = {
    "a.mat": b"MATLAB 5.0 MAT-file, but not really",
    "b.mat": b"\0" * 300,
    "a.pkl": b"\x80\x02garbage",
    "a.txt": b"hello",
    "a.zip": b"PK\x03\x04",
    "empty.pkl": b"",
}


@pytest.mark.parametrize("name", OTHER)
def test_other_files_are_named(tmp_path, name):
    (tmp_path / name).write_bytes(OTHER[name])
    with pytest.raises(InputError, match=name):
        read_proposals(tmp_path / name)


def test_missing_files_and_empty_folders(tmp_path):
    with pytest.raises(InputError, match="not found"):
        read_proposals(tmp_path / "a.mat")
    with pytest.raises(InputError, match=r"no \.mat, \.json or \.npz files"):
        read_proposals(tmp_path)


def mat73(path: Path, **variables) -> Path:
    """Writes like MATLAB's save -v7.3: columns first, cells as references, text in 16 bits."""
    with h5py.File(path, "w", userblock_size=512) as file:
        items = file.create_group("#refs#")

        def put(where, name, value):
            if isinstance(value, list):
                references = np.empty((len(value), 1), h5py.ref_dtype)
                for index, item in enumerate(value):
                    references[index, 0] = put(items, f"{name}{index}", item).ref
                created = where.create_dataset(name, data=references, dtype=h5py.ref_dtype)
                created.attrs["MATLAB_class"] = np.bytes_("cell")
            elif isinstance(value, str):
                letters = np.array([[ord(letter)] for letter in value], np.uint16)
                created = where.create_dataset(name, data=letters)
                created.attrs["MATLAB_class"] = np.bytes_("char")
            elif value.size == 0:
                created = where.create_dataset(name, data=np.array(value.shape, np.uint64))
                created.attrs["MATLAB_class"] = np.bytes_("double")
                created.attrs["MATLAB_empty"] = np.int32(1)
            else:
                created = where.create_dataset(name, data=value.T.astype(np.float64))
                created.attrs["MATLAB_class"] = np.bytes_("double")
            return created

        for name, value in variables.items():
            put(file, name, value)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    return path


def test_mat_73(tmp_path):
    path = mat73(tmp_path / "a.mat", boxes=[*YXYX_1, np.zeros((0, 4))], images=[*IDS, "000400"])
    found = read_proposals(path)
    assert_boxes({name: found[name] for name in IDS})
    assert len(found["000400"]) == 0
    path = mat73(tmp_path / "000012.mat", bboxes=YXYX_1[0], scores=SCORES[0][:, None])
    assert_boxes(read_proposals(path), IDS[:1], SCORES)


def test_mat_73_without_h5py_is_an_error_with_advice(tmp_path, monkeypatch):
    path = mat73(tmp_path / "a.mat", boxes=YXYX_1, images=IDS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match="pip install h5py"):
        read_proposals(path)


def test_mat_73_that_refers_to_other_files(tmp_path):
    """HDF5 can read the bytes of a dataset from any file and link to files; both are rejected."""
    (tmp_path / "secret").write_bytes(FIRST.astype(np.float64).tobytes())
    with h5py.File(tmp_path / "a.mat", "w") as file:
        outside = [(str(tmp_path / "secret"), 0, FIRST.size * 8)]
        file.create_dataset("boxes", (2, 4), np.float64, external=outside)
    with pytest.raises(InputError, match="refers to other files"):
        read_proposals(tmp_path / "a.mat", "demo-mat")
    mat73(tmp_path / "other.mat", boxes=FIRST)
    with h5py.File(tmp_path / "b.mat", "w") as file:
        file["boxes"] = h5py.ExternalLink(str(tmp_path / "other.mat"), "/boxes")
    with pytest.raises(InputError, match="no variables"):
        read_proposals(tmp_path / "b.mat", "demo-mat")


@pytest.fixture(scope="module")
def image_files(tmp_path_factory):
    """The folder of the images, whose sizes COCO json contains."""
    folder = tmp_path_factory.mktemp("VOC2007") / "JPEGImages"
    folder.mkdir()
    for image_id in ("2008_000002", *IDS):
        PIL.Image.new("L", (640, 600)).save(folder / f"{image_id}.jpg")
    return folder


class TestWriting:
    @pytest.fixture(params=[True, False], ids=["scored", "unscored"])
    def proposals(self, request):
        """Boxes with fractions of pixels, an empty list, and one box."""
        rng = np.random.default_rng(0)
        low = rng.random((7, 2)) * 300
        corners = np.concatenate((low, low + rng.random((7, 2)) * 300), axis=1)
        scores = rng.normal(size=7) if request.param else None
        none = np.zeros(0) if request.param else None
        return {
            "2008_000002": Proposals(corners, None if scores is None else -np.sort(-scores)),
            "000012": Proposals(np.zeros((0, 4)), none),
            "000345": Proposals(corners[:1], None if scores is None else scores[:1]),
        }

    @pytest.mark.parametrize("format", [STORE, *(writable.name for writable in WRITABLE)])
    def test_written_files_read_back_equal(self, tmp_path, image_files, proposals, format):
        ids = list(proposals)
        paths = {image_id: image_files / f"{image_id}.jpg" for image_id in ids}
        path = tmp_path / ("written.csv" if format == "csv" else "written")
        count = write_proposals(path, proposals, format, image_ids=ids, image_paths=paths)
        assert count == 3
        assert list(tmp_path.iterdir()) == [path]
        # Without scores, a list of tables is also one of py-faster-rcnn.
        ambiguous = format == "mmdet2" and proposals["000345"].scores is None
        for named in (format,) if ambiguous else (None, format):
            found = read_proposals(path, named, image_ids=ids)
            assert sorted(found) == sorted(ids)
            for image_id, expected in proposals.items():
                np.testing.assert_array_equal(found[image_id].boxes, expected.boxes)
                if format == "fast-rcnn-mat" or expected.scores is None:
                    assert found[image_id].scores is None
                else:
                    np.testing.assert_array_equal(found[image_id].scores, expected.scores)

    def test_files_are_what_other_readers_expect(self, tmp_path):
        """The values that each tool's own loader uses, read with pickle and SciPy."""
        proposals = {
            image_id: Proposals(table, row)
            for image_id, table, row in zip(IDS, (FIRST, SECOND), SCORES, strict=True)
        }
        path = tmp_path / "out"

        def written(format, **more):
            write_proposals(path, proposals, format, **more)
            return path.read_bytes()

        value = pickle.loads(written("detectron"))
        assert value["indexes"] == [12, 345]
        np.testing.assert_array_equal(value["boxes"][0], FIRST)
        assert value["boxes"][0].dtype == np.float32
        np.testing.assert_array_equal(value["scores"][1], [7])
        value = pickle.loads(written("detectron2"))
        assert value["ids"] == IDS
        np.testing.assert_array_equal(value["boxes"][0], [[11, 5, 41, 25], [0, 0, 100, 60]])
        np.testing.assert_array_equal(value["objectness_logits"][0], SCORES[0])
        value = pickle.loads(written("mmdet2", image_ids=IDS[::-1]))
        np.testing.assert_array_equal(value[0], [[3, 7, 4, 10, 7]])
        paths = {image_id: Path(f"x/JPEGImages/{image_id}.jpg") for image_id in IDS}
        value = pickle.loads(written("mmdet3", image_paths=paths))
        np.testing.assert_array_equal(value["JPEGImages/000012.jpg"]["bboxes"], CONTINUOUS[0])
        written("fast-rcnn-mat")
        variables = scipy.io.loadmat(path)
        np.testing.assert_array_equal(variables["boxes"].ravel()[0], YXYX_1[0])
        assert variables["images"].ravel()[1][0] == "000345"

    def test_unscored_boxes_keep_their_order_in_detectron2(self, tmp_path):
        """Detectron2 sorts by the logits, highest first."""
        write_proposals(tmp_path / "a", {"1": Proposals(FIRST)}, "detectron2")
        logits = pickle.loads((tmp_path / "a").read_bytes())["objectness_logits"][0]
        assert logits.argsort()[::-1].tolist() == [0, 1]

    def test_missing_or_invalid_input_of_a_format(self, tmp_path):
        proposals = {"cat": Proposals(FIRST)}
        with pytest.raises(MisuseError, match="whole numbers"):
            write_proposals(tmp_path / "a", proposals, "detectron")
        with pytest.raises(MisuseError, match="--image-set"):
            write_proposals(tmp_path / "a", proposals, "mmdet2")
        with pytest.raises(MisuseError, match="--images"):
            write_proposals(tmp_path / "a", proposals, "mmdet3")
        with pytest.raises(MisuseError, match="--images"):
            write_proposals(tmp_path / "a", proposals, "coco")
        with pytest.raises(MisuseError, match="can be written"):
            write_proposals(tmp_path / "a", proposals, "mcg-mat")
        with pytest.raises(InputError, match="1 of 2 images has no proposals \\(dog\\)"):
            write_proposals(tmp_path / "a", proposals, "detectron2", image_ids=["cat", "dog"])
        assert not list(tmp_path.iterdir())


def test_an_output_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_proposals(tmp_path / "file" / "out", {"1": Proposals(FIRST)}, "detectron")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("continuous", [False, True])
def test_layouts_are_inverses(order, base, continuous):
    layout = BoxLayout(order, base, continuous and order != "xywh")
    boxes = np.array([[11.25, 5, 40, 24.5], [0, 0, 99, 59]], np.float32)
    np.testing.assert_array_equal(from_layout(to_layout(boxes, layout), layout), boxes)


def test_unsigned_numbers_do_not_wrap_around():
    rows = np.array([[0, 0, 5, 5]], np.uint8)
    assert from_layout(rows, BoxLayout("xyxy", 1)).min() == -1


def test_every_format_is_documented():
    names = format_names()
    assert len(set(names)) == len(names) == len(FORMATS) + 2  # stores and parts
    page = Path(__file__).parents[3] / "docs" / "proposal-formats.md"
    assert [name for name in names if f"`{name}`" not in page.read_text()] == []
