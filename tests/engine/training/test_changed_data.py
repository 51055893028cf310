"""Runs notice images that differ from their annotations or proposals, or that have changed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.models.file import read_description
from frcnn_cli.engine.models.presets import base_experiment
from frcnn_cli.engine.models.provenance import dataset_fingerprint
from frcnn_cli.engine.proposals.propose import propose
from frcnn_cli.engine.reporter import Advance, Needs, Silent
from frcnn_cli.engine.settings import DataSettings, Experiment
from frcnn_cli.engine.settings.overrides import from_assignment, override
from frcnn_cli.engine.training.run import RunOptions
from frcnn_cli.engine.training.run_folder import NewPlaces, read_run
from frcnn_cli.engine.training.start import resume_run, start_run
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.images import image_digest
from frcnn_proposals.sources.dense import DenseBoxes

SMALL = ("schedule.iterations=8", "train.workers=0", "train.checkpoint_every=2",
         "preprocessing.scale=64", "preprocessing.max_size=100", "sampling.scales=[]",
         "proposals.source=dense", "weights=none", "backbone=efficientnet_lite0")  # fmt: skip


class Listener(Silent):
    """A reporter that keeps warnings; after `stop_after` steps it acts as Ctrl-C."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.warnings: list[str] = []
        self.steps = 0
        self.stop_after = stop_after

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    @contextmanager
    def progress(
        self, description: str, total: int | None, done: int = 0, needs: Needs | None = None
    ) -> Iterator[Advance]:
        def advance(count: int, beside: str) -> None:
            if description == "Training":
                self.steps += 1
                if self.steps == self.stop_after:
                    raise KeyboardInterrupt

        yield advance


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    folder = tmp_path / "shapes"
    generate_dataset(folder, images=12, seed=1, size=(128, 96))
    return folder


def experiment_on(folder: Path, **proposals: object) -> Experiment:
    small = override(base_experiment(None), [from_assignment(text, "here") for text in SMALL])
    chosen = replace(small.proposals, **proposals)  # type: ignore[arg-type]
    return replace(small, data=DataSettings(str(folder)), proposals=chosen)


def start(experiment: Experiment, run: Path, listener: Listener) -> None:
    start_run(experiment, RunOptions(run, device="cpu"), listener)


def images_of(shapes: Path) -> list[Path]:
    return [image.path for image in find_dataset(str(shapes), "trainval").images]


def shrink(path: Path) -> None:
    with Image.open(path) as image:
        image.resize((64, 48)).save(path, quality=95)


def darken(path: Path) -> None:
    with Image.open(path) as image:
        image.point(lambda value: value // 2).save(path, quality=95)


def swap_labels(shapes: Path) -> None:
    for path in (shapes / "Annotations").glob("*.xml"):
        text = path.read_text()
        text = re.sub("<name>disc</name>", "<name>ring?</name>", text)
        text = re.sub("<name>ring</name>", "<name>disc</name>", text)
        path.write_text(text.replace("<name>ring?</name>", "<name>ring</name>"))


def shorten(shapes: Path) -> None:
    for split in ("train", "trainval"):
        path = shapes / "ImageSets" / "Main" / f"{split}.txt"
        path.write_text("\n".join(path.read_text().split()[1:]) + "\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (swap_labels, r"images have other sizes or objects \("),
        (shorten, "1 image was removed"),
        (lambda shapes: darken(images_of(shapes)[2]), "1 image file was replaced"),
    ],
)
def test_a_run_is_not_resumed_on_changed_data(
    shapes: Path, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        start(experiment_on(shapes), run, Listener(stop_after=4))
    shutil.copytree(shapes, tmp_path / "before")
    change(shapes)
    with pytest.raises(MisuseError, match=message) as error:
        resume_run(run, RunOptions(device="cpu"))
    assert str(error.value).count("\n") <= 2
    shutil.rmtree(shapes)
    shutil.move(tmp_path / "before", shapes)
    assert resume_run(run, RunOptions(device="cpu")).path.is_file()


def test_a_run_is_resumed_where_its_data_has_moved(shapes: Path, tmp_path: Path) -> None:
    store, run, new = tmp_path / "given.proposals", tmp_path / "run", tmp_path / "new"
    propose([str(shapes)], DenseBoxes(), store, workers=0)
    with pytest.raises(KeyboardInterrupt):
        start(experiment_on(shapes, file=str(store)), run, Listener(stop_after=4))
    new.mkdir()
    shutil.copytree(shapes, new / "renamed")
    shutil.move(shapes, new / "shapes")
    shutil.move(store, new / "moved.proposals")

    def resume(dataset: str | None = None) -> Path:
        places = NewPlaces(dataset, proposals=new / "moved.proposals")
        return resume_run(run, RunOptions(device="cpu"), places=places).path

    with pytest.raises(InputError, match=r"given\.proposals: proposal file not found.*--proposals"):
        resume_run(run)
    with pytest.raises(MisuseError, match="--data-root"):
        resume()
    swap_labels(new / "renamed")
    with pytest.raises(MisuseError, match="renamed trainval has changed since"):
        resume(str(new / "renamed"))
    assert read_run(run).experiment.data.dataset == str(shapes)
    places = NewPlaces(data_root=new, proposals=new / "moved.proposals")
    with pytest.raises(KeyboardInterrupt):
        resume_run(run, RunOptions(device="cpu"), Listener(stop_after=1), places)
    moved = read_run(run).experiment
    assert moved.data.dataset == str(new / "shapes")
    assert moved.proposals.file == str(new / "moved.proposals")
    shutil.rmtree(new / "renamed")
    shutil.move(new / "shapes", new / "renamed")
    assert resume(str(new / "renamed")).is_file()


def test_a_run_without_a_fingerprint_is_not_resumed_elsewhere(shapes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        start(experiment_on(shapes), run, Listener(stop_after=4))
    checkpoint = run / "checkpoint.safetensors"
    older = checkpoint.read_bytes().replace(b"dataset_fingerprint", b"not_in_old_versions")
    checkpoint.write_bytes(older)
    with pytest.raises(MisuseError, match="did not store the fingerprint of its dataset"):
        resume_run(run, RunOptions(device="cpu"), places=NewPlaces(str(shapes)))


def test_a_replaced_image_is_noticed_when_it_is_read(shapes: Path, tmp_path: Path) -> None:
    """With given proposals, no image is read before training reads it."""
    store, run = tmp_path / "given.proposals", tmp_path / "run"
    propose([str(shapes)], DenseBoxes(), store, workers=0)
    with pytest.raises(KeyboardInterrupt):
        start(experiment_on(shapes, file=str(store)), run, Listener(stop_after=6))
    for path in images_of(shapes):
        darken(path)
    with pytest.raises(MisuseError, match=r"\.jpg: this image was replaced since the run"):
        resume_run(run, RunOptions(device="cpu"))


def test_a_run_is_not_resumed_with_another_store(shapes: Path, tmp_path: Path) -> None:
    """The second store has the same source and boxes, but more images."""
    store, run = tmp_path / "given.proposals", tmp_path / "run"
    propose([str(shapes)], DenseBoxes(), store, split="trainval", workers=0)
    with pytest.raises(KeyboardInterrupt):
        start(experiment_on(shapes, file=str(store)), run, Listener(stop_after=4))
    shutil.copy(store, tmp_path / "first")
    propose([str(shapes)], DenseBoxes(), store, workers=0)
    with pytest.raises(MisuseError, match="the proposals have changed since this run started"):
        resume_run(run, RunOptions(device="cpu"))
    shutil.copy(tmp_path / "first", store)
    assert resume_run(run, RunOptions(device="cpu")).path.is_file()


def test_the_model_has_the_digests_of_the_images_that_it_read(shapes: Path, tmp_path: Path) -> None:
    store, run = tmp_path / "given.proposals", tmp_path / "run"
    propose([str(shapes)], DenseBoxes(), store, workers=0)
    start(experiment_on(shapes, file=str(store)), run, Listener())
    fingerprint = dataset_fingerprint(read_description(run / "model.safetensors")["origin"])
    assert fingerprint is not None
    for image in find_dataset(str(shapes), "trainval").images:
        assert image_digest(image.path).startswith(fingerprint.file_of(image.image_id) or "?")


def test_training_warns_of_images_of_another_size(shapes: Path, tmp_path: Path) -> None:
    listener = Listener()
    paths = images_of(shapes)
    for path in paths[:2]:
        shrink(path)
    start(experiment_on(shapes), tmp_path / "run", listener)
    before, first, after = listener.warnings
    assert f"2 of {len(paths)} images read do not match their annotations" in before
    assert "is 64 x 48 pixels after EXIF rotation, annotated as 128 x 96" in first
    assert after == before
    for path in paths[2:]:
        shrink(path)
    with pytest.raises(InputError, match=f"{len(paths)} of {len(paths)} images read"):
        start(experiment_on(shapes), tmp_path / "other", Listener())
    assert not (tmp_path / "other").exists()
    start(experiment_on(shapes, allow_mismatch=True), tmp_path / "other", Listener())


def test_training_warns_of_proposals_of_replaced_images(shapes: Path, tmp_path: Path) -> None:
    store = tmp_path / "given.proposals"
    propose([str(shapes)], DenseBoxes(), store, workers=0)
    paths = images_of(shapes)
    darken(paths[0])
    listener = Listener()
    start(experiment_on(shapes, file=str(store)), tmp_path / "run", listener)
    first, after = listener.warnings
    assert f"{paths[0].stem} has other bytes" in first
    assert (
        f"1 of {len(paths)} images differs from those that the proposals were computed from"
        in after
    )
