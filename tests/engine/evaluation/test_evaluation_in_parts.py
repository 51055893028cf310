"""`eval --parts`: each part is written when it is finished, and depends on its own images alone."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numbered_parts import OneOfTeam
from reporters import RecordingReporter

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.detection.image import detect_image
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.distributed.shard import Shard
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.evaluation.run import detect_for_evaluation, evaluate_model
from frcnn_cli.engine.models.loaded import LoadedModel, open_model
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.parts.result import PartsResult
from frcnn_cli.engine.parts.run import PartsOptions
from frcnn_cli.engine.proposals.run import propose_images
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_cli.engine.settings.options import DataOptions, DetectionOptions
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.formats.parts.about import part_files
from frcnn_proposals.formats.parts.files import read_part
from frcnn_proposals.formats.parts.row import Row
from frcnn_proposals.images import read_image
from frcnn_proposals.sources.dense import DenseBoxes
from frcnn_proposals.sources.registry import make_source

CPU = torch.device("cpu")


@pytest.fixture
def data(tmp_path: Path) -> DataOptions:
    """The split trainval with 9 images."""
    generate_dataset(tmp_path / "shapes", images=12, seed=1, size=(128, 96))
    return DataOptions(str(tmp_path / "shapes"), "trainval", source="dense")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("model")
    generate_dataset(folder / "shapes", images=12, seed=1, size=(128, 96))
    classes = find_dataset(str(folder / "shapes"), "trainval").classes
    torch.manual_seed(0)
    small = Preprocessing(scale=64, max_size=100)
    architecture = Architecture("efficientnet_lite0", classes, (16, 8), small, pretrained=False)
    save_model(FastRCNN(architecture), folder / "model.safetensors", {})
    return open_model(folder / "model.safetensors", folder, CPU)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(
    loaded: LoadedModel,
    data: DataOptions,
    out: Path,
    shard: Shard | None = None,
    reporter: Reporter = SILENT,
    team: Team = ALONE,
) -> PartsResult:
    return detect_for_evaluation(
        loaded, data, DetectionOptions(), PartsOptions(out, "jsonl", 3), shard, team, reporter
    )


def rows_in(out: Path) -> dict[str, Row]:
    return {row.image_id: row for path in part_files(out) for row in read_part(path)}


def images_of(data: DataOptions) -> dict[str, Path]:
    assert data.dataset is not None
    return {
        record.image_id: record.path for record in find_dataset(data.dataset, "trainval").images
    }


def test_an_interrupted_run_has_its_finished_parts(
    loaded: LoadedModel, data: DataOptions, tmp_path: Path, cache: Path
) -> None:
    def interrupt() -> None:
        if len(reporter.counts) == 5:
            raise KeyboardInterrupt

    out, reporter = tmp_path / "out", RecordingReporter(interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(loaded, data, out, reporter=reporter)
    assert len(part_files(out)) == 1
    assert reporter.notes[-1].startswith("Finished parts are saved")
    result = write(loaded, data, out)
    assert (result.reused, result.written, result.images) == (1, 2, 6)
    model = prepare_model(loaded.model, loaded.precision)
    settings = replace(loaded.experiment.detect, score_threshold=None)
    rows = rows_in(out)
    assert list(rows) == list(images_of(data))
    for image_id, path in images_of(data).items():
        image = read_image(path)
        found = detect_image(model, image, DenseBoxes().propose(image), settings)
        np.testing.assert_array_equal(rows[image_id].boxes, found.boxes)
        np.testing.assert_array_equal(rows[image_id].scores, found.scores)
    assert not cache.exists()


def test_memory_holds_the_detections_of_one_part(
    loaded: LoadedModel, data: DataOptions, tmp_path: Path
) -> None:
    def results() -> int:
        return sum(type(item) in (Detections, Row) for item in gc.get_objects())

    held: list[int] = []
    before = results()
    reporter = RecordingReporter(lambda: held.append(results() - before))
    write(loaded, data, tmp_path / "out", reporter=reporter)
    # The rows of a part, and the detections of the image in progress; there are nine images.
    assert max(held) <= 3 + 1


def test_a_removed_part_alone_is_computed_again(
    loaded: LoadedModel, data: DataOptions, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write(loaded, data, out)
    removed = part_files(out)[1]
    before = removed.read_bytes()
    removed.unlink()
    reporter = RecordingReporter()
    assert write(loaded, data, out, reporter=reporter).images == 3
    assert reporter.counts == [(7, 9), (8, 9), (9, 9)]
    assert removed.read_bytes() == before


@pytest.mark.parametrize("from_file", [False, True])
def test_an_unreadable_image_has_its_reason_and_can_be_repeated(
    from_file: bool, loaded: LoadedModel, data: DataOptions, tmp_path: Path
) -> None:
    images = images_of(data)
    if from_file:
        stored = tmp_path / "dense.proposals"
        propose_images(list(images.items()), make_source("dense"), stored, workers=0)
        data = replace(data, source=None, proposals=stored)
    image_id, broken = list(images.items())[4]
    content = broken.read_bytes()
    broken.write_bytes(b"nothing")
    out = tmp_path / "out"
    result = write(loaded, data, out)
    assert (result.images, result.failed) == (9, 1)
    assert f"{broken}: cannot be read as an image" in result.messages[0]
    assert rows_in(out)[image_id].error == result.messages[0]
    broken.write_bytes(content)
    assert write(loaded, data, out).reused == 3
    part_files(out)[1].unlink()
    assert write(loaded, data, out).images == 3
    assert rows_in(out)[image_id].error is None


def test_shards_run_at_the_same_time(
    loaded: LoadedModel, data: DataOptions, tmp_path: Path
) -> None:
    both = threading.Barrier(2, timeout=120)
    failures: list[Exception] = []

    def work(index: int) -> None:
        first = iter([both.wait])
        reporter = RecordingReporter(lambda: next(first, lambda: None)())
        try:
            write(loaded, data, tmp_path / "out", Shard(index, 2), reporter)
        except Exception as error:
            failures.append(error)

    tasks = [threading.Thread(target=work, args=(index,)) for index in (1, 2)]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()
    assert failures == []
    assert rows_in(tmp_path / "out").keys() == images_of(data).keys()


def test_cached_proposals_are_not_computed_again(
    loaded: LoadedModel, data: DataOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate_model(loaded, data)
    computed = []
    propose = DenseBoxes.propose

    def counted(source: DenseBoxes, image: Image) -> Proposals:
        computed.append(image)
        return propose(source, image)

    monkeypatch.setattr(DenseBoxes, "propose", counted)
    write(loaded, data, tmp_path / "out")
    assert computed == []
    first, second = list(images_of(data).values())[:2]
    first.write_bytes(second.read_bytes())
    write(loaded, data, tmp_path / "again")
    assert len(computed) == 1


def test_other_images_and_clipped_boxes_are_reported(
    loaded: LoadedModel, data: DataOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, stored = images_of(data), tmp_path / "dense.proposals"
    propose_images(list(images.items()), make_source("dense"), stored, workers=0)
    first, second = list(images.values())[:2]
    first.write_bytes(second.read_bytes())
    reporter = RecordingReporter()
    given = replace(data, source=None, proposals=stored)
    write(loaded, given, tmp_path / "given", reporter=reporter)
    (warning,) = reporter.warnings
    assert "1 of 9 images differs from those that the proposals were computed from" in warning

    outside = Proposals(np.array([[0, 0, 500, 50]], np.float32), None)
    monkeypatch.setattr(DenseBoxes, "propose", lambda source, image: outside)
    write(loaded, data, tmp_path / "computed", reporter=reporter)
    assert reporter.warnings[1:] == [
        "9 boxes of dense reached outside the image and were clipped or removed."
    ]
    # The first of two processes detects in two of three parts, and reports for both.
    team = AsTheFirst(0, 2)
    assert write(loaded, data, tmp_path / "team", reporter=reporter, team=team).images == 2 * 6
    assert reporter.warnings[2].startswith("12 boxes of dense reached outside")


class AsTheFirst(OneOfTeam):
    """A process of two that have the same results."""

    def gather(self, value: Any) -> list[Any]:
        return [value, value]
