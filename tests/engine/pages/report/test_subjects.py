"""Reports from Python, without a command: the page, progress reports, and cached detections."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from counting_reporter import Counting

from frcnn_cli.engine.models.loaded import LoadedModel, open_model
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.pages.report import subjects
from frcnn_cli.engine.pages.report.records import Report
from frcnn_cli.engine.pages.report.subjects import report_on_files, report_on_models
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import DetectSettings
from frcnn_cli.engine.settings.options import DataOptions
from frcnn_proposals.errors import MisuseError

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def models(small_model: FastRCNN, tiny_dataset: Dataset, tmp_path: Path) -> list[LoadedModel]:
    """Two small untrained models of the dataset's classes."""
    loaded = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = FastRCNN(replace(small_model.architecture, classes=tiny_dataset.classes))
        path = tmp_path / f"seed-{seed}.safetensors"
        save_model(model, path, {})
        loaded.append(open_model(path, tmp_path, CPU))
    return loaded


@pytest.fixture
def data(tiny_dataset: Dataset) -> DataOptions:
    return DataOptions(dataset=tiny_dataset.name, split="val", source="dense")


def test_a_report_on_two_models_leaves_no_temporary_files(
    models: list[LoadedModel], data: DataOptions, cache: Path, tmp_path: Path
) -> None:
    reporter = Counting()
    page = report_on_models(models, tmp_path / "report", data, reporter=reporter)
    assert page == tmp_path / "report" / "index.html"
    text = page.read_text(encoding="utf-8")
    for loaded in models:
        assert loaded.path.stem in text
    size = models[0].path.stat().st_size / 1e6
    assert f"{size:.1f}<small>MB</small>" in text
    assert {"Proposals (dense)", "Detecting", "Timing", "Recall", "Drawing"} <= set(reporter.totals)
    assert reporter.done["Recall"] == reporter.totals["Recall"]
    assert list(cache.rglob("*.partial")) == []


def test_no_path_of_this_machine_is_in_the_page(
    models: list[LoadedModel], data: DataOptions, tmp_path: Path
) -> None:
    """A page may be sent to others. Its title and settings name files without their folders."""
    settings = replace(
        models[0].experiment,
        data=replace(models[0].experiment.data, dataset=f"{tmp_path}/pets", root=f"{tmp_path}/d"),
        proposals=replace(models[0].experiment.proposals, file=f"{tmp_path}/boxes.proposals"),
    )
    origin = {"compressed_from": f"{tmp_path}/whole.safetensors"}
    model = replace(models[0], experiment=settings, origin=origin)
    pages = [report_on_models([model], tmp_path / "one", data)]
    found = tmp_path / "found.json"
    found.write_text(json.dumps([]))
    pages.append(report_on_files([found], tmp_path / "two", data, CPU))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert str(tmp_path) not in text
        assert str(tmp_path.parent.name) not in text
    # Names can be broken after a dot.
    assert "boxes.<wbr>proposals" in pages[0].read_text(encoding="utf-8")


def test_each_model_is_timed_with_its_own_settings(
    models: list[LoadedModel], data: DataOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[int] = []

    def time_them(
        models: object, dataset: object, proposals: object, settings: list[DetectSettings]
    ) -> list[dict[str, float]]:
        timed.extend(own.proposals for own in settings)
        return [{}, {}]

    monkeypatch.setattr(subjects, "mean_stages", time_them)
    second = replace(models[1].experiment, detect=DetectSettings(proposals=7))
    report_on_models([models[0], replace(models[1], experiment=second)], tmp_path / "out", data)
    assert timed == [models[0].experiment.detect.proposals, 7]


def test_an_interrupted_report_caches_its_detections(
    models: list[LoadedModel],
    data: DataOptions,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(report: Report, folder: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(subjects, "write_report", stop)
        with pytest.raises(KeyboardInterrupt):
            report_on_models(models[:1], tmp_path / "report", data)
    assert len(list(cache.rglob("*.partial"))) == 1
    reporter = Counting()
    report_on_models(models[:1], tmp_path / "report", data, reporter=reporter)
    assert any("images" in note and ".partial" in note for note in reporter.notes)
    assert list(cache.rglob("*.partial")) == []


def test_a_detections_file_requires_a_dataset(data: DataOptions, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    file.write_text(json.dumps([]))
    with pytest.raises(MisuseError, match="requires a dataset"):
        report_on_files([file], tmp_path / "report", DataOptions(), CPU)
