"""`frcnn proposals`, on the real demo files and a generated dataset."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import scipy.io
from click.testing import CliRunner, Result

from frcnn_cli.cli import cli
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_proposals.base import Proposals
from frcnn_proposals.formats import read_proposals, write_proposals
from frcnn_proposals.store.reader import open_store


def run(*arguments: object) -> Result:
    runner = CliRunner(env={"COLUMNS": "160"})
    return runner.invoke(cli, ["proposals", *map(str, arguments)])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def demo(shared_data, here):
    return shared_data / "fast-rcnn-demo"


@pytest.fixture
def shapes(here):
    """A generated dataset, and a store with the box of each object moved by 4 pixels."""
    generated = CliRunner().invoke(cli, ["data", "generate", "data/shapes", "--images", "8"])
    assert generated.exit_code == 0, generated.output
    boxes = {}
    for split in ("trainval", "test"):
        for record in find_dataset("shapes", split).images:
            limits = np.array([record.width, record.height] * 2) - 1
            moved = np.minimum(record.truth.boxes + 4, limits)
            boxes[record.image_id] = Proposals(np.concatenate(([[0, 0, 1, 1]], moved)))
    write_proposals("shapes.proposals", boxes, "store")
    return boxes


class TestInspect:
    def test_real_demo_file(self, demo):
        result = run("inspect", demo / "000004_boxes.mat", "--json", "out.json")
        assert result.exit_code == 0
        for part in ("demo-mat", "by elimination", "a coordinate of 0 in 1-based boxes", "2,888"):
            assert part in result.output
        written = json.loads(Path("out.json").read_text())
        assert written["decided"] is True
        assert written["survey"]["boxes"] == 2888
        verdicts = written["verdicts"]
        matching = [verdict["format"] for verdict in verdicts if verdict["fault"] is None]
        assert matching == ["demo-mat"]

    def test_a_folder_of_files(self, demo):
        result = run("inspect", demo)
        assert result.exit_code == 0
        assert "000004, 001551" in result.output

    def test_ambiguous_file_is_undecided(self, here):
        scipy.io.savemat("1.mat", {"boxes": np.array([[5, 6, 50, 60]])})
        result = run("inspect", "1.mat")
        assert result.exit_code == 0
        assert "undecided" in result.output
        for name in ("ijcv-mat", "demo-mat", "mcg-mat"):
            assert name in result.output
        assert "undecided" not in run("inspect", "1.mat", "--from", "mcg-mat").output

    def test_images_exclude_formats(self, here):
        Path("images").mkdir()
        PIL.Image.new("RGB", (60, 50)).save("images/1.png")
        scipy.io.savemat("1.mat", {"boxes": np.array([[5, 6, 50, 60]])})
        result = run("inspect", "1.mat", "--images", "images")
        assert "pixels outside its image of 60 x 50" in result.output
        assert "mcg-mat" in result.output

    def test_store_shows_provenance_and_failures(self, here):
        (here / "a").mkdir()
        PIL.Image.new("RGB", (40, 30)).save("a/1.png")
        Path("a/2.png").write_text("no image")
        CliRunner().invoke(cli, ["propose", "a", "--source", "dense"])
        result = run("inspect", "a.proposals")
        for part in ("dense 1", "step 0.14", "2.png", "certain"):
            assert part in result.output

    def test_hostile_pickle(self, here):
        Path("a.pkl").write_bytes(b"cos\nsystem\n(S'touch mark'\ntR.")
        result = run("inspect", "a.pkl")
        assert result.exit_code == 1
        assert "os.system" in result.output
        assert not Path("mark").exists()


class TestConvert:
    def test_demo_to_every_format_and_back(self, demo):
        Path("ids.txt").write_text("001551\n000004\n")
        expected = read_proposals(demo)
        for name in ("store", "fast-rcnn-mat", "detectron", "detectron2", "mmdet2", "mmdet3"):
            converted = run(
                *("convert", demo, "out", "--to", name),
                *("--image-set", "ids.txt", "--images", demo),
            )
            assert converted.exit_code == 0, converted.output
            back = run("convert", "out", "back", "--from", name, "--image-set", "ids.txt")
            assert back.exit_code == 0, back.output
            store = open_store("back")
            assert list(store) == ["000004", "001551"]
            for image_id in store:
                np.testing.assert_array_equal(store[image_id].boxes, expected[image_id].boxes)

    @pytest.mark.parametrize(
        ("out", "format"),
        [
            ("a.csv", "csv"),
            ("a.JSON", "coco"),
            ("a.mat", "fast-rcnn-mat"),
            ("a.npz", "npz"),
            ("a.proposals", "store"),
            ("a", "store"),
        ],
    )
    def test_the_suffix_chooses_the_format(self, demo, out, format):
        result = run("convert", demo, out, "--images", demo)
        assert result.exit_code == 0, result.output
        inspected = run("inspect", out, "--json", "inspected.json")
        assert inspected.exit_code == 0, inspected.output
        assert json.loads(Path("inspected.json").read_text())["format"] == format

    def test_a_suffix_of_several_formats_needs_the_name_of_one(self, demo):
        result = run("convert", demo, "a.pkl")
        assert result.exit_code == 2
        assert "Choose one with --to: detectron, detectron2, mmdet2 or mmdet3" in " ".join(
            result.output.split()
        )
        assert not Path("a.pkl").exists()

    def test_store_records_the_converted_file(self, demo):
        run("convert", demo / "000004_boxes.mat", "out")
        provenance = open_store("out").provenance
        assert provenance.source == "converted from demo-mat"
        assert provenance.parameters["file"] == "000004_boxes.mat"

    def test_mismatch_is_an_error_unless_allowed(self, demo):
        Path("ids.txt").write_text("000004 1\n000009 -1\n")
        arguments = ("convert", demo, "out", "--to", "mmdet2", "--image-set", "ids.txt")
        result = run(*arguments)
        assert result.exit_code == 1
        for part in ("000009", "001551", "--allow-mismatch"):
            assert part in result.output
        assert not Path("out").exists()
        assert run(*arguments, "--allow-mismatch").exit_code == 0
        tables = pickle.loads(Path("out").read_bytes())
        assert [table.shape for table in tables] == [(2888, 4), (0, 4)]

    def test_different_counts_are_reported(self, here):
        Path("a.pkl").write_bytes(pickle.dumps([np.array([[0, 0, 5, 5]])] * 3))
        Path("ids.txt").write_text("1\n2\n")
        result = run("convert", "a.pkl", "out", "--image-set", "ids.txt")
        assert result.exit_code == 1
        assert "for 3 images, but the image list has 2" in result.output

    def test_boxes_outside_their_images_are_rejected(self, here):
        Path("images").mkdir()
        PIL.Image.new("RGB", (60, 50)).save("images/7.png")
        value = {"boxes": [np.array([[0, 0, 60, 40]])], "scores": [np.ones(1)], "indexes": [7]}
        Path("a.pkl").write_bytes(pickle.dumps(value))
        result = run("convert", "a.pkl", "out", "--images", "images")
        assert result.exit_code == 1
        assert "outside its image" in result.output

    def test_lost_scores_are_reported(self, here):
        write_proposals("a", {"1": Proposals([[0, 0, 5, 5]], [0.5])}, "store")
        result = run("convert", "a", "out", "--to", "fast-rcnn-mat")
        assert result.exit_code == 0
        assert "cannot store scores" in result.output

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (["gone.mat", "out"], 1, "gone.mat"),
            (["a", "a"], 2, "choose another name"),
            (["a", "out", "--to", "mcg-mat"], 2, "mcg-mat"),
            (["a", "out", "--from", "x"], 2, "unknown proposal format"),
            (["a", "out", "--to", "mmdet2"], 2, "--image-set"),
            (["a", "out", "--to", "mmdet3"], 2, "--images"),
            (["a", "out", "--image-set", "gone.txt"], 1, "gone.txt"),
            (["a", "out", "--images", "gone"], 2, "gone"),
        ],
    )
    def test_misuse(self, here, arguments, code, message):
        write_proposals("a", {"1": Proposals([[0, 0, 5, 5]])}, "store")
        result = run("convert", *arguments)
        assert (result.exit_code, "Traceback" in result.output) == (code, False)
        assert message in result.output
        assert not Path("out").exists()


class TestRecall:
    def test_tables_json_and_plot(self, shapes):
        pytest.importorskip("matplotlib")
        result = run(
            *("recall", "shapes.proposals", "--dataset", "shapes", "--split", "trainval"),
            *("--json", "out.json", "--plot", "out.png"),
        )
        assert result.exit_code == 0, result.output
        for part in ("MABO", "all objects", "not difficult", "By class"):
            assert part in result.output
        written = json.loads(Path("out.json").read_text())
        assert 0.5 < written["all"]["mabo"] < 1
        assert written["all"]["recall_50"] > 0.9
        assert "Hosang" in written["average_recall_definition"]
        assert written["all"]["against_boxes"][0]["boxes"] == 1
        assert written["all"]["against_boxes"][0]["recall_50"] == 0
        assert len(written["all"]["by_class"]) >= 2
        assert PIL.Image.open("out.png").format == "PNG"

    def test_only_the_first_boxes(self, shapes):
        result = run(
            *("recall", "shapes.proposals", "--dataset", "shapes", "--split", "trainval"),
            *("--boxes", 1, "--json", "out.json"),
        )
        assert result.exit_code == 0, result.output
        assert json.loads(Path("out.json").read_text())["all"]["recall_50"] == 0

    def test_mismatch_is_an_error_unless_allowed(self, shapes):
        gone = min(shapes)
        boxes = {"stranger": shapes.pop(gone), **shapes}
        write_proposals("shapes.proposals", boxes, "store")
        splits = ("trainval", "test")
        split = next(
            name
            for name in splits
            if gone in {record.image_id for record in find_dataset("shapes", name).images}
        )
        arguments = ("recall", "shapes.proposals", "--dataset", "shapes", "--split", split)
        result = run(*arguments)
        assert result.exit_code == 1
        for part in (gone, "stranger", "--allow-mismatch"):
            assert part in result.output
        allowed = run(*arguments, "--allow-mismatch")
        assert allowed.exit_code == 0, allowed.output

    def test_unknown_dataset(self, shapes):
        assert run("recall", "shapes.proposals", "--dataset", "gone").exit_code == 2


class TestDraw:
    def test_best_proposals_of_a_dataset(self, shapes):
        image_id = next(name for name in shapes if len(shapes[name]) > 1)
        result = run("draw", "shapes.proposals", image_id, "--dataset", "shapes")
        assert result.exit_code == 0, result.output
        assert "IoU 0." in result.output
        drawn = np.asarray(PIL.Image.open(f"{image_id}-proposals.png"))
        record = _record(image_id)
        plain = np.asarray(PIL.Image.open(record.path))
        assert drawn.shape == plain.shape
        x1, _, _, y2 = record.truth.boxes[0].astype(int)
        assert (drawn != plain).any()
        assert drawn[y2, x1].tolist() == [255, 255, 255]

    def test_dataset_of_an_image_file_is_found(self, shapes):
        image_id = min(shapes)
        result = run("draw", "shapes.proposals", _record(image_id).path, "--out", "out.png")
        assert result.exit_code == 0, result.output
        assert "IoU" in result.output

    def test_first_proposals_without_objects(self, demo):
        result = run("draw", demo / "000004_boxes.mat", demo / "000004.jpg", "--top", 5)
        assert result.exit_code == 0, result.output
        assert Path("000004-proposals.png").exists()

    def test_an_earlier_drawing_is_kept(self, demo):
        arguments = ("draw", demo / "000004_boxes.mat", demo / "000004.jpg", "--top")
        run(*arguments, 5)
        first = Path("000004-proposals.png").read_bytes()
        for number in (2, 3):
            result = run(*arguments, 1)
            assert result.output.splitlines()[-1] == f"000004-proposals-{number}.png"
        assert Path("000004-proposals.png").read_bytes() == first
        assert Path("000004-proposals-2.png").read_bytes() != first
        assert run(*arguments, 1, "--out", "000004-proposals.png").exit_code == 0
        assert Path("000004-proposals.png").read_bytes() != first

    def test_image_without_proposals(self, demo):
        result = run("draw", demo / "000004_boxes.mat", demo / "001551.jpg")
        assert result.exit_code == 1
        assert "001551" in result.output

    def test_missing_image(self, shapes):
        assert run("draw", "shapes.proposals", "gone", "--dataset", "shapes").exit_code == 2


@pytest.mark.parametrize("name", ["out.csv", "out.PKL", "out.json", "out.npz", "out.mat"])
def test_a_store_has_no_suffix_of_another_format(here: Path, name: str) -> None:
    PIL.Image.new("RGB", (64, 48)).save("a.png")
    write_proposals("a.proposals", {"a": Proposals(np.zeros((1, 4), np.float32))}, "store")
    propose = CliRunner().invoke(cli, ["propose", "a.png", "--source", "dense", "--out", name])
    for result in (
        propose,
        run("convert", "a.proposals", name, "--to", "store"),
        run("merge", "a.proposals", "--out", name),
    ):
        assert result.exit_code == 2
        assert f"{name}: this file would be a proposal store" in result.output
    assert not Path(name).exists()


def _record(image_id: str):
    for split in ("trainval", "test"):
        for record in find_dataset("shapes", split).images:
            if record.image_id == image_id:
                return record
    raise KeyError(image_id)


class TestMerge:
    def test_merged_shards_contain_all_images(self, here):
        Path("images").mkdir()
        for index in range(6):
            PIL.Image.new("RGB", (40 + index, 30)).save(f"images/{index}.png")
        for part in (1, 2):
            command = ["propose", "images", "--source", "dense", "--shard", f"{part}/2"]
            assert CliRunner().invoke(cli, command).exit_code == 0
        result = run("merge", *sorted(here.glob("*.proposals")), "--out", "all")
        assert result.exit_code == 0, result.output
        assert list(open_store("all")) == [str(index) for index in range(6)]

    def test_other_files_are_rejected(self, here):
        Path("a").write_text("no store")
        result = run("merge", "a", "--out", "all")
        assert result.exit_code == 1
        assert "a: is not a proposal store" in result.output
