"""`frcnn propose`, through Click's runner and as a process that is interrupted."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner, Result

from frcnn_cli.cli import cli
from frcnn_proposals.images import read_image
from frcnn_proposals.sources.dense import DenseBoxes
from frcnn_proposals.store.reader import open_store


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["propose", *map(str, arguments)])


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Four images in a folder, with its parent as the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 255, (40, 50, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"p{index}.png")
    return folder


def test_a_folder_without_options(images):
    result = run("images")
    assert result.exit_code == 0, result.output
    assert "images.proposals" in result.output
    store = open_store("images.proposals")
    assert list(store) == ["p0", "p1", "p2", "p3"]
    assert store.provenance.source == "selective-search"
    assert len(store["p0"]) > 0
    repeated = run("images/")
    assert "4 already stored" in repeated.output


@pytest.mark.parametrize(
    ("content", "problem", "advice"),
    [
        (b"rubbish", "cannot be read as a pickle", None),
        (pickle.dumps([np.array([[5, 6, 50, 40]])] * 4), "only an order", "--image-set"),
        (pickle.dumps({"boxes": 1}), "not any known proposal format", None),
    ],
)
def test_a_bad_file_of_proposals_is_one_error(images, content, problem, advice):
    """The advice names the command that has the option: `propose` does not."""
    Path("bad.pkl").write_bytes(content)
    result = run("images", "--source", "precomputed", "--param", "file=bad.pkl")
    assert result.exit_code == 1
    assert result.output.startswith("Error: bad.pkl: ")
    assert problem in result.output
    assert len(result.output.splitlines()) <= 3
    if advice is not None:
        assert f"`{advice}` of `frcnn proposals convert`" in result.output
    assert not Path("images.proposals").exists()


def test_source_parameters_out_and_json(images):
    result = run(
        *("images", "--source", "dense", "--param", "scales=[20]", "--param", "step=0.5"),
        *("--out", "deep/er/out", "--json", "out.json", "--workers", 1),
    )
    assert result.exit_code == 0, result.output
    expected = DenseBoxes(scales=[20], step=0.5).propose(read_image("images/p0.png"))
    np.testing.assert_array_equal(open_store("deep/er/out")["p0"].boxes, expected.boxes)
    written = json.loads(Path("out.json").read_text())
    assert written["out"] == "deep/er/out"
    assert written["parameters"]["scales"] == [20]
    assert (written["computed"], written["reused"], written["failures"]) == (4, 0, [])


def test_one_bad_image_is_reported_and_the_others_are_computed(images):
    (images / "bad.jpg").write_text("no image")
    result = run("images", "--source", "dense", "--json", "out.json")
    assert result.exit_code == 1
    assert "bad.jpg" in result.output
    assert result.stderr.endswith("Error: 1 image has no proposals.\n")
    assert "Traceback" not in result.output
    assert len(open_store("images.proposals")) == 4
    failures = json.loads(Path("out.json").read_text())["failures"]
    assert [failure["id"] for failure in failures] == ["bad"]


def test_no_store_is_written_if_all_images_fail(images):
    for image in images.glob("*.png"):
        image.write_text("no image")
    (images / "p4.png").write_bytes(b"")
    before = sorted(Path().iterdir())
    result = run("images", "--source", "dense")
    assert result.exit_code == 1
    assert [line for line in result.stderr.splitlines() if "p0.png" in line]
    assert result.stderr.endswith("Error: 5 images have no proposals.\n")
    assert "images.proposals" not in result.output
    assert sorted(Path().iterdir()) == before
    # As soon as one is readable, the store contains why the others are not.
    PIL.Image.new("RGB", (50, 40)).save(images / "p0.png")
    assert run("images", "--source", "dense").exit_code == 1
    store = open_store("images.proposals")
    assert list(store) == ["p0"]
    assert [image_id for image_id, _ in store.failures()] == ["p1", "p2", "p3", "p4"]


def test_a_store_is_not_replaced_if_all_images_fail(images):
    assert run("images", "--source", "dense", "--param", "step=0.5").exit_code == 0
    before = Path("images.proposals").read_bytes()
    for image in images.glob("*.png"):
        image.write_text("no image")
    assert run("images", "--source", "dense", "--replace").exit_code == 1
    assert Path("images.proposals").read_bytes() == before
    assert [path.name for path in Path().glob("*.partial*")] == []


def test_too_many_dense_boxes_fail_their_image(images):
    PIL.Image.new("L", (3000, 2000)).save(images / "large.png")
    result = run("images", "--source", "dense", "--param", "step=0.01", "--workers", 1)
    assert result.exit_code == 1
    assert "large.png: dense failed" in result.output
    assert "over the limit of 4,000,000" in result.output.replace("\n", " ")
    assert list(open_store("images.proposals")) == ["p0", "p1", "p2", "p3"]


def test_shards(images):
    for index in (1, 2):
        assert run("images", "--source", "dense", "--shard", f"{index}/2").exit_code == 0
    parts = [set(open_store(f"images-{index}of2.proposals")) for index in (1, 2)]
    assert parts[0] | parts[1] == {"p0", "p1", "p2", "p3"}
    assert not parts[0] & parts[1]


def test_a_dataset_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generated = CliRunner().invoke(cli, ["data", "generate", "data/shapes", "--images", "8"])
    assert generated.exit_code == 0, generated.output
    result = run("shapes", "--source", "dense", "--param", "scales=[64]")
    assert result.exit_code == 0, result.output
    assert len(open_store("shapes.proposals")) == 8


def test_boxes_of_other_images_are_removed_only_on_request(images):
    assert run("images", "--source", "dense", "--out", "two").exit_code == 0
    before = Path("two").read_bytes()
    some = ("images/p0.png", "images/p3.png", "--source", "dense", "--out", "two")
    result = run(*some)
    assert result.exit_code == 2
    assert "contains proposals of 2 images that are not among the given ones" in result.output
    assert "--replace" in result.output
    assert Path("two").read_bytes() == before
    assert run(*some, "--replace").exit_code == 0
    assert list(open_store("two")) == ["p0", "p3"]
    assert run("images", "--source", "dense", "--out", "two").exit_code == 0
    assert list(open_store("two")) == ["p0", "p1", "p2", "p3"]


def test_boxes_of_another_source_are_replaced_only_on_request(images):
    assert run("images").exit_code == 0
    before = Path("images.proposals").read_bytes()
    result = run("images", "--source", "dense")
    assert result.exit_code == 2
    assert "other parameters (selective-search) for 4 images" in " ".join(result.output.split())
    assert Path("images.proposals").read_bytes() == before
    assert run("images", "--source", "dense", "--replace").exit_code == 0
    assert open_store("images.proposals").provenance.source == "dense"


def test_list_sources():
    result = CliRunner(env={"COLUMNS": "200"}).invoke(cli, ["propose", "--list-sources"])
    assert result.exit_code == 0
    for name in ("selective-search", "opencv-selective-search", "dense", "precomputed"):
        assert name in result.output


MISUSE = {
    "no images": ([], "Name the images"),
    "unknown source": (["images", "--source", "x"], "unknown proposal source 'x'"),
    "unknown mode": (["images", "--mode", "x"], "mode"),
    "unknown parameter": (["images", "--source", "dense", "--param", "x=1"], "parameters: scales"),
    "parameter without value": (["images", "--param", "x"], "NAME=VALUE"),
    "shard": (["images", "--shard", "3/2"], "I/N"),
    "missing image": (["gone.jpg"], "gone.jpg"),
    "missing folder": (["gone"], "gone"),
    "empty folder": (["empty"], "empty"),
    "glob without a match": (["x*.jpg"], "x*.jpg"),
    "no workers": (["images", "--workers", "0"], "workers"),
}


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_exits_with_2_and_a_message(images, name):
    Path("empty").mkdir()
    arguments, message = MISUSE[name]
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
    assert not list(Path().glob("*.proposals*"))


def test_another_file_at_the_output_path_exits_with_1(images):
    Path("out").write_text("precious")
    result = run("images", "--source", "dense", "--out", "out")
    assert result.exit_code == 1
    assert "out: exists and is not a proposal store" in result.output


def assert_no_process_in(group: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError(f"processes of group {group} still exist")


def test_ctrl_c_exits_with_130_leaves_no_process_and_keeps_finished_images(images):
    """Ctrl-C in a terminal is sent to every process of the group."""
    # So many images that the child cannot finish before it is interrupted.
    more = [images / f"q{index:03}.png" for index in range(150)]
    for index, path in enumerate(more):
        PIL.Image.new("RGB", (400, 300), (index, 0, 0)).save(path)
    # A dense grid that takes several tenths of a second per image.
    slow = ("images", "--source", "dense", "--param", "scales=[16]", "--param", "step=0.1")
    command = [sys.executable, "-m", "frcnn_cli.cli", "propose", *slow, "--workers", "2"]
    child = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    partial = Path("images.proposals.partial-wal")
    deadline = time.monotonic() + 120
    # The boxes of one image need more bytes than this.
    while not (partial.exists() and partial.stat().st_size > 1_000_000):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Traceback" not in errors
    assert "run the same command to resume" in errors
    assert not Path("images.proposals").exists()
    assert_no_process_in(child.pid)
    for path in more[6:]:
        path.unlink()
    resumed = run(*slow, "--json", "out.json")
    assert resumed.exit_code == 0
    assert json.loads(Path("out.json").read_text())["reused"] > 0
    assert len(open_store("images.proposals")) == 10
