"""Starting and resuming a run from Python: its folder, its reports, and its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from small_runs import equal, weights

from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.models.presets import base_experiment
from frcnn_cli.engine.models.provenance import training_fingerprints
from frcnn_cli.engine.models.store import load_model
from frcnn_cli.engine.reporter import Advance, Needs, Silent
from frcnn_cli.engine.settings import DataSettings, Experiment
from frcnn_cli.engine.settings.overrides import from_assignment, override
from frcnn_cli.engine.training.run import RunOptions
from frcnn_cli.engine.training.run_folder import read_run
from frcnn_cli.engine.training.start import resume_run, start_run
from frcnn_proposals.errors import InputError, MisuseError

SMALL = ("schedule.iterations=4", "train.workers=0", "train.checkpoint_every=3",
         "preprocessing.scale=64", "preprocessing.max_size=100", "sampling.scales=[]",
         "proposals.source=dense", "weights=none", "backbone=efficientnet_lite0")  # fmt: skip


class Listener(Silent):
    """A reporter that records notes and steps; at step `stop_at` it acts as Ctrl-C."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.notes: list[str] = []
        self.steps: list[str] = []
        self.stop_at = stop_at

    def note(self, text: str) -> None:
        self.notes.append(text)

    @contextmanager
    def progress(
        self, description: str, total: int | None, done: int = 0, needs: Needs | None = None
    ) -> Iterator[Advance]:
        def advance(count: int, text: str) -> None:
            if description == "Training":
                self.steps.append(text)
                if len(self.steps) == self.stop_at:
                    raise KeyboardInterrupt

        yield advance


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    folder = tmp_path_factory.mktemp("data") / "shapes"
    generate_dataset(folder, images=12, seed=1, size=(128, 96))
    small = override(base_experiment(None), [from_assignment(text, "test") for text in SMALL])
    return replace(small, data=DataSettings(str(folder)))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))


def options(
    folder: Path, on_setting: Callable[[Experiment], None] = lambda experiment: None
) -> RunOptions:
    return RunOptions(folder, device="cpu", on_setting=on_setting)


def test_a_run_reports_each_step_and_prints_nothing(
    experiment: Experiment, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    listener = Listener()
    settings: list[Experiment] = []
    trained = start_run(experiment, options(tmp_path / "run", settings.append), listener)
    assert capfd.readouterr() == ("", "")
    assert [line.partition(" ")[0] for line in listener.steps] == ["loss"] * 4
    assert any(note.startswith("Training efficientnet_lite0 on ") for note in listener.notes)
    assert trained.path == tmp_path / "run" / "model.safetensors"
    assert read_run(tmp_path / "run").experiment == settings[0]
    assert settings[0].data.split == "trainval"
    assert load_model(trained.path)[0].architecture.backbone == "efficientnet_lite0"


def test_an_interrupted_run_is_resumed_to_the_same_end(
    experiment: Experiment, tmp_path: Path
) -> None:
    whole = start_run(experiment, options(tmp_path / "whole"))
    listener = Listener(stop_at=4)
    with pytest.raises(KeyboardInterrupt):
        start_run(experiment, options(tmp_path / "stopped"), reporter=listener)
    assert listener.notes[-1] == f"Resume with `frcnn train --resume {tmp_path / 'stopped'}`."
    resumed, settings = Listener(), list[Experiment]()
    trained = resume_run(tmp_path / "stopped", options(tmp_path, settings.append), resumed)
    assert len(resumed.steps) == 1
    assert settings == []
    assert equal(weights(trained.path), weights(whole.path))
    again = Listener()
    assert resume_run(tmp_path / "stopped", reporter=again).path == trained.path
    assert again.steps == []


def test_a_resumed_run_remembers_what_its_start_has_seen(
    experiment: Experiment, tmp_path: Path
) -> None:
    """The detector itself is not needed any more."""
    start = start_run(experiment, options(tmp_path / "start"))
    again = replace(experiment, init=str(start.path), weights="imagenet")
    with pytest.raises(KeyboardInterrupt):
        start_run(again, options(tmp_path / "stopped"), reporter=Listener(stop_at=4))
    start.path.unlink()
    resumed = resume_run(tmp_path / "stopped", options(tmp_path))
    _, origin = load_model(resumed.path)
    own, earlier = training_fingerprints(origin)
    assert own.images == earlier.images


def test_a_rejected_experiment_leaves_no_folder(experiment: Experiment, tmp_path: Path) -> None:
    missing = replace(experiment, proposals=replace(experiment.proposals, file="nowhere.npz"))
    with pytest.raises(InputError, match=r"nowhere\.npz"):
        start_run(missing, options(tmp_path / "new" / "run"))
    assert not (tmp_path / "new").exists()
    with pytest.raises(MisuseError, match="Give a dataset"):
        start_run(replace(experiment, data=DataSettings()), options(tmp_path / "new" / "run"))
    with pytest.raises(InputError, match="no run of this name"):
        resume_run(tmp_path / "new")


def test_a_second_run_in_the_same_folder_removes_nothing(
    experiment: Experiment, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    rejected: list[str] = []

    def start_others(_: Experiment) -> None:
        """Before the first run has computed its proposals."""
        for _ in range(2):
            with pytest.raises(MisuseError, match="another process is training"):
                start_run(experiment, options(folder))
            rejected.append((folder / "setting.toml").read_text())

    trained = start_run(experiment, options(folder, start_others))
    assert len(rejected) == 2
    assert read_run(folder).model == trained.path


def test_a_rejected_run_leaves_what_it_found(experiment: Experiment, tmp_path: Path) -> None:
    missing = replace(experiment, weights=str(tmp_path / "weights.pth"))
    (tmp_path / "weights.pth").write_bytes(b"no weights")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"weights\.pth"):
        start_run(missing, options(tmp_path / "empty"))
    assert list((tmp_path / "empty").iterdir()) == []

    def stop(_: Experiment) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start_run(experiment, options(tmp_path / "stopped", stop))
    setting = (tmp_path / "stopped" / "setting.toml").read_text()
    foreign = tmp_path / "stopped" / ".results.json.x.partial"
    foreign.write_text("half")
    with pytest.raises(InputError, match=r"weights\.pth"):
        start_run(missing, options(tmp_path / "stopped"))
    assert (tmp_path / "stopped" / "setting.toml").read_text() == setting
    assert foreign.read_text() == "half"
