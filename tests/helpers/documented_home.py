"""A folder in which the commands of the documentation run: small, under the names that it uses."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner, Result
from documented import REPOSITORY
from PIL import Image

from frcnn_cli.cli import cli
from frcnn_cli.engine.datasets.generate.appearance import SHAPES
from frcnn_cli.engine.proposals import run as proposing

# The dataset is called voc2007, so its shapes have names of VOC classes.
NAMES = dict(zip(SHAPES, ("bus", "car", "cat", "cow", "dog", "bird"), strict=True))
RUN = "runs/voc2007-efficientnet_lite2"
# Options appended to a command so that it runs quickly; the last value of an option counts.
SMALL = {
    "train": "--iterations 2 --scale 64 --workers 0",
    "data generate": "--images 16 --size 128 96",
    "bench compress": "--backbone efficientnet_lite0 --rounds 1",
    "bench detect": "--cases lite-given --rounds 1 --images 1",
    "bench eval": "--images 20 --repeats 1",
    "bench nms": "--rounds 1",
    "bench propose": "--images 1",
    "bench photo": "--images 1 --rounds 1",
    "bench video": "--clips 1 --frames 4",
    "bench roi-pool": "--rounds 1",
    "bench sampling": "--rounds 1",
    "bench svd": "--shape 96x128 --rank 8",
    "bench train": "--cases lite --rounds 1 --steps 1",
    "bench train-options": "--ways usual --rounds 1 --steps 1",
}
# Words that name something of another machine or network, or that a person fills in.
HERE = {
    "/datasets": "data",
    "~/data": "data",
    "~/experiments": "runs",
    "DIR": "data",
    "fc6=1024,fc7=256": "fc6=64,fc7=32",
}


def run(home: Path, words: tuple[str, ...]) -> Result:
    """Run `frcnn` with a shortened command, in `home` as the user's home and current folder."""
    environment = {"HOME": str(home), "FRCNN_CACHE": str(home / "cache"), "FRCNN_DATA": None}
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(home)
        # Compute proposals in this process: another one would import everything again.
        patched.setattr(proposing, "usable_cores", lambda: 0)
        return CliRunner().invoke(cli, shortened(words), env=environment)


def shortened(words: tuple[str, ...]) -> list[str]:
    """The command with the changes in SMALL and HERE; a resumed run keeps its settings."""
    small = [HERE.get(word, word) for word in words]
    for name, more in SMALL.items():
        if list(words[: len(name.split())]) == name.split() and "--resume" not in words:
            small += more.split()
    if words[0] == "features" and "--backbone" in words:
        small += ["--weights", "none"]  # ImageNet weights are downloaded
    if words[0] == "train" and {"--preset", "--config"} & set(words):
        small += ["--backbone", "efficientnet_lite0"]
    return small


def make_home(home: Path) -> None:
    """The dataset, images, a video, files of proposals and detections, and trained models."""
    home.mkdir()
    _make_images(home)
    _must(home, "train voc2007")
    shutil.copytree(home / RUN, home / "runs" / "voc2007", copy_function=os.link)
    shutil.copytree(home / RUN, home / "runs" / "voc2007-vgg16", copy_function=os.link)
    small = "runs/voc2007/model-svd-256.safetensors"
    _must(home, f"compress runs/voc2007 --svd-rank 256 --out {small}")
    os.link(home / RUN / "model.safetensors", home / "model.safetensors")
    os.link(home / small, home / "model-svd-256.safetensors")
    _make_files(home)


def copy_home(home: Path, to: Path) -> Path:
    """Another one. Models are shared: nothing is ever written into one."""
    shutil.copytree(home, to, copy_function=_copy, symlinks=True)
    return to


def stop(home: Path) -> None:
    """Make of the run a stopped one, which has not come to its model."""
    (home / RUN / "model.safetensors").unlink(missing_ok=True)


def _must(home: Path, line: str) -> None:
    result = run(home, tuple(shlex.split(line)))
    assert result.exit_code == 0, result.output


def _copy(old: str, new: str) -> None:
    (os.link if old.endswith(".safetensors") else shutil.copy2)(old, new)


def _make_images(home: Path) -> None:
    """data/VOCdevkit/VOC2007, images/, photos/ and more/, three images and a video."""
    (home / "data" / "VOCdevkit").mkdir(parents=True)
    _must(home, "data generate data/VOCdevkit/VOC2007")
    voc = home / "data" / "VOCdevkit" / "VOC2007"
    (voc / "classes.txt").unlink()
    for xml in (voc / "Annotations").iterdir():
        text = xml.read_text()
        xml.write_text(re.sub(r"<name>(\w+)<", lambda found: f"<name>{NAMES[found[1]]}<", text))
    (home / "VOCdevkit").symlink_to("data/VOCdevkit")
    image_files = sorted((voc / "JPEGImages").iterdir())
    for name, some in (("images", image_files[:4]), ("photos", image_files[4:8])):
        (home / name).mkdir(parents=True)
        for image_file in some:
            os.link(image_file, home / name / image_file.name)
    for name in ("img.jpg", "photo.jpg", "street.jpg", "aerial.jpg"):
        os.link(image_files[9], home / name)
    annotation = voc / "Annotations" / f"{image_files[9].stem}.xml"
    os.link(annotation, home / "street.xml")
    (home / "more").mkdir()
    Image.open(image_files[8]).save(home / "more" / "one.png")
    (home / "list.txt").write_text("street.jpg\n")
    frames = [cv2.imread(str(image_file)) for image_file in image_files[:3]]
    size = frames[0].shape[1::-1]
    video = cv2.VideoWriter(str(home / "drive.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, size)
    for frame in frames:
        video.write(frame)
    video.release()


def _make_files(home: Path) -> None:
    """Proposals in several formats, detections, and the page's own file of settings."""
    _must(home, "propose voc2007 --out voc2007.proposals")
    _must(home, "propose photos/ --out photos.proposals")
    os.link(home / "photos.proposals", home / "boxes.proposals")
    _must(home, "proposals convert voc2007.proposals voc_2007_trainval.mat --to fast-rcnn-mat")
    for part in ("1/2", "2/2"):
        _must(home, f"propose images/ --shard {part}")
    _must(home, "eval --save-detections detections.json")
    _must(home, "eval --split trainval --save-detections train.json")
    for name in ("results", "found", "anybody"):
        os.link(home / "detections.json", home / f"{name}.json")
    runs = {"size": [96, 128], "counts": [2000, 40, 56, 40, 10152]}
    masks = json.dumps([{"segmentation": runs, "predicted_iou": 0.9}])
    for folder in ("masks", "sam-output"):
        (home / folder).mkdir()
        for image_file in (home / "photos").iterdir():
            (home / folder / f"{image_file.stem}.json").write_text(masks)
    page = (REPOSITORY / "docs" / "training.md").read_text(encoding="utf-8")
    settings = re.search(r"```toml\n(# mine\.toml\n.*?)```", page, re.S)
    assert settings
    (home / "mine.toml").write_text(settings[1])
