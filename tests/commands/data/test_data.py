"""`frcnn data` through Click's runner."""

import json

import pytest
from click.testing import CliRunner

from frcnn_cli.cli import cli


def run(*arguments):
    return CliRunner().invoke(cli, ["data", *map(str, arguments)])


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "shapes"
    result = run("generate", out, "--images", 8, "--seed", 1, "--size", 160, 120)
    assert result.exit_code == 0, result.output
    return out


def test_generate_writes_and_does_not_overwrite(shapes):
    assert len(list((shapes / "JPEGImages").iterdir())) == 8
    again = run("generate", shapes)
    assert again.exit_code == 2
    assert "already exists" in again.output


def test_folders_with_the_name_of_unfinished_work_are_not_deleted(shapes, tmp_path):
    for name in ("made.partial", "exported.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes").write_text("precious")
    made = run("generate", tmp_path / "made", "--images", 8, "--size", 64, 64)
    exported = run("export", shapes, tmp_path / "exported", "--format", "yolo")
    assert (made.exit_code, exported.exit_code) == (0, 0), made.output + exported.output
    for name in ("made.partial", "exported.partial"):
        assert (tmp_path / name / "notes").read_text() == "precious"


def test_list_shows_name_layout_and_splits(shapes, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    result = run("list", "--data-root", shapes.parent)
    assert result.exit_code == 0
    assert "shapes" in result.output
    assert "train, val, trainval, test" in result.output


def test_list_prints_the_searched_folders_if_none_has_a_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRCNN_DATA", "elsewhere")
    result = run("list")
    assert result.exit_code == 0
    assert "No datasets found in elsewhere, data" in result.output


def test_check_passes_correct_data_and_fails_on_broken_data(shapes, tmp_path):
    json_path = tmp_path / "report.json"
    assert run("check", shapes, "--json", json_path).exit_code == 0
    report = json.loads(json_path.read_text())
    assert report["sound"]
    assert [split["images"] for split in report["splits"]] == [5, 1, 6, 2]
    annotation = shapes / "Annotations" / "000001.xml"
    original = annotation.read_text()
    annotation.write_text(original.replace("<xmin>", "<xmin>9"))
    broken = run("check", shapes, "--split", "train")
    annotation.write_text(original)
    assert broken.exit_code == 1
    assert "000001.xml" in broken.output
    assert "Traceback" not in broken.output


def test_check_counts_the_objects_of_each_class_and_split(shapes):
    result = run("check", shapes)
    assert "No problems found." in result.output
    table = result.output.partition("Objects by class")[2]
    rows = [line.replace("│", " ").replace("┃", " ").split() for line in table.splitlines()]
    assert ["class", "train", "val", "trainval", "test"] in rows
    (disc,) = [row for row in rows if row[:1] == ["disc"]]
    train, val, trainval, test = map(int, disc[1:])
    xml = "".join(path.read_text() for path in (shapes / "Annotations").iterdir())
    objects = [part.partition("</object>")[0] for part in xml.split("<object>")[1:]]
    counted = [text for text in objects if "<difficult>0<" in text and "<name>disc<" in text]
    assert train + val == trainval
    assert trainval + test == len(counted)


def test_check_of_a_missing_list_prints_no_empty_table(shapes, tmp_path):
    result = run("check", shapes, "--split", tmp_path / "gone.txt")
    assert result.exit_code == 1
    assert f"{tmp_path / 'gone.txt'}: this file does not exist." in result.output
    assert "without objects" not in result.output


def test_check_of_an_unknown_dataset(tmp_path):
    result = run("check", "voc2077", "--data-root", tmp_path)
    assert result.exit_code == 2
    assert "Unknown dataset 'voc2077'" in result.output


@pytest.mark.parametrize("format", ["coco", "csv", "voc", "yolo"])
def test_export_of_ground_truth_and_detections(shapes, tmp_path, format):
    truth = run("export", shapes, tmp_path / "truth", "--format", format)
    assert truth.exit_code == 0, truth.output
    assert (tmp_path / "truth").exists()
    entry = {"image_id": "000007", "category_id": 1, "bbox": [1, 1, 9, 9], "score": 0.5}
    (tmp_path / "in.json").write_text(json.dumps([entry]))
    detections = ("--detections", tmp_path / "in.json")
    found = run("export", shapes, tmp_path / "found", "--format", format, *detections)
    assert found.exit_code == 0, found.output
    assert (tmp_path / "found").exists()


def test_export_reports_a_bad_detections_file(shapes, tmp_path):
    (tmp_path / "in.json").write_text("{}")
    options = ("--format", "csv", "--detections", tmp_path / "in.json")
    result = run("export", shapes, tmp_path / "out.csv", *options)
    assert result.exit_code == 1
    assert "in.json" in result.output
