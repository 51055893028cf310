"""What a run keeps when something goes wrong, and what it says."""

import json
import resource
import signal
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.utils.data import get_worker_info

from frcnn_cli.engine.backbones import find_backbone
from frcnn_cli.engine.datasets import find_dataset, generate_dataset
from frcnn_cli.engine.memory import memory_explained
from frcnn_cli.engine.model import FastRCNN
from frcnn_cli.engine.models import load_model, save_model
from frcnn_cli.engine.origins import stored_experiment
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.runs import alone_in, read_run, write_setting
from frcnn_cli.engine.settings import (
    Architecture,
    DataSettings,
    Experiment,
    Preprocessing,
    Schedule,
    TrainSettings,
)
from frcnn_cli.engine.stopping import stop_between_steps
from frcnn_cli.engine.train import Run, StepReport, resume, train
from frcnn_cli.engine.training_state import load_checkpoint
from frcnn_cli.engine.validation import Validation, validate, validation_dataset
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError, MisuseError

MakeProposals = Callable[[Dataset], dict[str, Proposals]]


def settings(iterations: int, every: int, **more: object) -> TrainSettings:
    schedule = Schedule(iterations, learning_rate=0.01)
    return TrainSettings(schedule=schedule, workers=0, checkpoint_every=every, **more)


def new_model(dataset: Dataset) -> FastRCNN:
    torch.manual_seed(0)
    backbone = find_backbone("efficientnet_lite0")
    preprocessing = replace(backbone.preprocessing, scale=64, max_size=100)
    return FastRCNN(Architecture(backbone.name, dataset.classes, (24, 16), preprocessing))


@pytest.fixture
def run(tiny_dataset: Dataset, grid_proposals: MakeProposals, run_folder: Path) -> Run:
    return Run(run_folder, tiny_dataset, grid_proposals(tiny_dataset), settings(6, every=2))


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_model(path)[0].state_dict()


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def measured(folder: Path) -> list[dict[str, float]]:
    """The metrics without the times, which differ from run to run."""
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    times = ("seconds", "waiting")
    return [{name: row[name] for name in row if name not in times} for row in rows]


@pytest.fixture
def file_size_limit() -> Iterator[Callable[[int], None]]:
    """Sets the largest file that this process may write: a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_losses_or_weights(run: Run, tmp_path: Path, workers: int) -> None:
    plain = train(new_model(run.dataset), run)
    parallel = replace(run, folder=tmp_path, settings=replace(run.settings, workers=workers))
    other = train(new_model(run.dataset), parallel)
    assert equal(weights(plain.path), weights(other.path))
    assert measured(run.folder) == measured(tmp_path)
    assert get_worker_info() is None


def test_a_full_disk_keeps_the_last_checkpoint(
    run: Run, tmp_path: Path, file_size_limit: Callable[[int], None]
) -> None:
    def fill(step: StepReport) -> None:
        if step.iteration == 3:
            file_size_limit(1_000_000)

    with pytest.raises(InputError, match=r"(?s)cannot be written.*Make room .*--resume"):
        train(new_model(run.dataset), run, fill)
    assert load_checkpoint(run.folder)[2].iteration == 2
    assert not list(run.folder.glob(".*"))
    file_size_limit(resource.RLIM_INFINITY)
    whole = train(new_model(run.dataset), replace(run, folder=tmp_path / "whole"))
    assert equal(weights(resume(run).path), weights(whole.path))


def test_losses_that_cannot_be_written_stop_the_run(
    run: Run, file_size_limit: Callable[[int], None]
) -> None:
    def fill(step: StepReport) -> None:
        file_size_limit(100)

    with pytest.raises(InputError, match=r"metrics\.jsonl: cannot be written"):
        train(new_model(run.dataset), run, fill)


def test_weights_that_are_not_finite_are_not_kept(run: Run) -> None:
    model = new_model(run.dataset)

    def spoil(step: StepReport) -> None:
        if step.iteration == 4:
            with torch.no_grad():
                model.fc7.bias[0] = float("inf")

    with pytest.raises(InputError, match=r"iteration 4 not every number of model\.fc7\.bias"):
        train(model, run, spoil)
    assert load_checkpoint(run.folder)[2].iteration == 2


def test_a_signal_waits_for_the_end_of_the_step(run: Run) -> None:
    def interrupt(step: StepReport) -> None:
        if step.iteration == 3:
            signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        train(new_model(run.dataset), run, interrupt)
    assert load_checkpoint(run.folder)[2].iteration == 3
    assert signal.getsignal(signal.SIGTERM) is before


def interrupted_twice() -> None:
    with stop_between_steps() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.made
        signal.raise_signal(signal.SIGINT)


def test_a_second_signal_does_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
)
def test_out_of_memory_says_what_to_lower(error: Exception) -> None:
    with (
        pytest.raises(InputError, match=r"(?s)Lower --scale \(now 600\).*sampling\.images.*2\)"),
        memory_explained(TrainSettings(), Preprocessing()),
    ):
        raise error


def test_a_real_allocation_that_fails_is_explained() -> None:
    with (
        pytest.raises(InputError, match="Memory ran out"),
        memory_explained(TrainSettings(), Preprocessing()),
    ):
        torch.empty(2**60)


def test_other_errors_stay_as_they_are() -> None:
    with (
        pytest.raises(RuntimeError, match="shape"),
        memory_explained(TrainSettings(), Preprocessing()),
    ):
        raise RuntimeError("shape mismatch")


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    generate_dataset(tmp_path / "shapes", images=16, seed=3, size=(128, 96))
    return tmp_path / "shapes"


def test_the_best_on_val_is_kept(
    shapes: Path, tmp_path: Path, grid_proposals: MakeProposals
) -> None:
    data = find_dataset(str(shapes), "train")
    judged = validation_dataset(DataSettings(str(shapes), "train"), data)
    validation = Validation(judged, grid_proposals(judged))
    chosen = settings(8, every=3, eval_every=3)
    run = Run(tmp_path / "run", data, grid_proposals(data), chosen, validation=validation)
    trained = train(new_model(data), run)
    lines = (run.folder / "evaluations.jsonl").read_text().splitlines()
    scores = {each["iteration"]: each["map"] for each in map(json.loads, lines)}
    assert list(scores) == [3, 6, 8]  # and once at the end
    best, origin = load_model(run.folder / "best.safetensors")
    assert trained.best == max(scores.values()) == origin["val_map"] == scores[origin["iteration"]]
    assert validate(best, validation) == trained.best
    # Evaluating changes nothing of the training.
    plain = train(new_model(data), replace(run, folder=tmp_path / "plain", settings=settings(8, 3)))
    assert equal(weights(plain.path), weights(trained.path))


def test_evaluations_go_on_after_a_stop(
    shapes: Path, tmp_path: Path, grid_proposals: MakeProposals
) -> None:
    data = find_dataset(str(shapes), "train")
    judged = find_dataset(str(shapes), "val")
    validation = Validation(judged, grid_proposals(judged))
    chosen = settings(6, every=4, eval_every=2)
    run = Run(tmp_path / "run", data, grid_proposals(data), chosen, validation=validation)

    def stop(step: StepReport) -> None:
        if step.iteration == 5:
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        train(new_model(data), run, stop)
    stopped = resume(run)
    whole = train(new_model(data), replace(run, folder=tmp_path / "whole"))
    assert stopped.best == whole.best
    texts = [(each / "evaluations.jsonl").read_text() for each in (run.folder, tmp_path / "whole")]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("split", ["trainval", "val"])
def test_val_is_not_judged_on_where_it_is_trained_on(shapes: Path, split: str) -> None:
    name = str(shapes)
    with pytest.raises(MisuseError, match=f"images of val are among those of {split}"):
        validation_dataset(DataSettings(name, split), find_dataset(name, split))


def test_without_a_val_split_nothing_is_judged(shapes: Path) -> None:
    (shapes / "ImageSets" / "Main" / "val.txt").unlink()
    data = find_dataset(str(shapes), "train")
    with pytest.raises(MisuseError, match="no val split to evaluate on"):
        validation_dataset(DataSettings(str(shapes), "train"), data)


def test_unions_are_judged_by_the_images_that_they_share(shapes: Path, tmp_path: Path) -> None:
    generate_dataset(tmp_path / "more", images=8, seed=4, size=(128, 96))
    union = f"{shapes}+{tmp_path / 'more'}"
    with pytest.raises(MisuseError, match="are among those of trainval"):
        validation_dataset(DataSettings(union, "trainval"), find_dataset(union, "trainval"))
    judged = validation_dataset(DataSettings(union, "train"), find_dataset(union, "train"))
    assert judged.split == "val"


def test_a_setting_that_was_changed_is_not_ignored(run: Run) -> None:
    experiment = Experiment(train=run.settings, data=DataSettings("shapes", "train"))
    write_setting(run.folder, experiment)
    assert read_run(run.folder).experiment == experiment
    assert read_run(run.folder).progress is None
    from frcnn_cli.engine.origins import origin_of

    stopped = replace(run, settings=settings(2, every=2), origin=origin_of(experiment, "abc"))
    train(new_model(run.dataset), stopped)
    assert read_run(run.folder).experiment == experiment
    write_setting(run.folder, replace(experiment, backbone="vgg16"))
    with pytest.raises(MisuseError, match="backbone is 'vgg16', but the run began with 'effic"):
        read_run(run.folder)


def test_what_a_killed_process_left_is_cleared(run_folder: Path) -> None:
    leftover = run_folder / ".checkpoint.safetensors.x1.partial"
    leftover.write_bytes(b"half")
    with alone_in(run_folder):
        assert not leftover.exists()


def test_everything_travels_with_the_weights(run: Run) -> None:
    from frcnn_cli.engine.origins import origin_of

    preprocessing = Preprocessing(scale=64, max_size=100)
    experiment = Experiment(train=run.settings, preprocessing=preprocessing)
    trained = train(new_model(run.dataset), replace(run, origin=origin_of(experiment, "f00d")))
    model, origin = load_model(trained.path)
    assert stored_experiment(origin, model.architecture) == experiment
    assert origin["proposals_fingerprint"] == "f00d"
    assert model.architecture.classes == run.dataset.classes
    assert model.architecture.box_coding == "inclusive"
    assert model.offset_deviations.shape == (len(run.dataset.classes), 4)
    description = description_of(trained.path)
    assert description["format"] == 2
    assert description["versions"]["torch"] == torch.__version__
    assert set(description["versions"]) == {"frcnn", "python", "torch", "torchvision"}


def description_of(path: Path) -> dict:
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["frcnn"])


FORMAT_1 = {
    "format": 1,
    "architecture": {
        "backbone": "efficientnet_lite0",
        "classes": ["cat", "dog"],
        "hidden": [24, 16],
        "preprocessing": {
            "scale": 64, "max_size": 120, "channels": "rgb", "divisor": 1.0,
            "mean": [127.0, 127.0, 127.0], "std": [128.0, 128.0, 128.0],
        },
        "box_coding": "inclusive",
        "ranks": {},
    },
    "origin": {
        "dataset": "voc2007",
        "split": "trainval",
        "data_root": "/data",
        "proposals": "/data/voc.proposals",
        "source": "selective-search",
        "allow_missing": False,
        "settings": {
            "sampling": {
                "images": 2, "rois_per_image": 32, "foreground_fraction": 0.25,
                "foreground_iou": 0.5, "background_iou": [0.1, 0.5], "flip": True,
            },
            "schedule": {
                "iterations": 4500, "learning_rate": 0.01, "step_at": 0.75, "gamma": 0.1,
                "warmup": 200, "momentum": 0.9, "weight_decay": 0.0005,
            },
            "seed": 7, "proposals": 1500, "workers": 1, "checkpoint_every": 250,
        },
    },
}  # fmt: skip


def test_a_model_of_format_1_loads_with_all_it_says(small_model: FastRCNN, tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    tensors = {name: value.contiguous() for name, value in small_model.state_dict().items()}
    save_file(tensors, path, metadata={"frcnn": json.dumps(FORMAT_1)})
    model, origin = load_model(path)
    assert equal(model.state_dict(), small_model.state_dict())
    assert model.architecture.classifier == "softmax"
    assert model.architecture.box_regression
    experiment = stored_experiment(origin, model.architecture)
    assert experiment.data == DataSettings("voc2007", "trainval", "/data")
    assert experiment.proposals.file == "/data/voc.proposals"
    assert experiment.preprocessing.scale == 64
    assert experiment.train.sampling.rois_per_image == 32
    assert (experiment.train.seed, experiment.train.proposals) == (7, 1500)


def test_a_checkpoint_of_format_1_goes_on(run: Run, small_model: FastRCNN) -> None:
    """Its tensors and the progress, as the first version wrote them."""
    old = FORMAT_1["origin"]
    progress = {
        "iteration": 250,
        "settings": old["settings"],
        "origin": {key: value for key, value in old.items() if key != "settings"},
    }
    tensors = {
        f"model.{name}": value.contiguous() for name, value in small_model.state_dict().items()
    }
    tensors["momentum.fc7.bias"] = torch.ones(16)
    description = {**FORMAT_1, "origin": progress}
    save_file(
        tensors, run.folder / "checkpoint.safetensors",
        metadata={"frcnn": json.dumps(description)},
    )  # fmt: skip
    _, momenta, found = load_checkpoint(run.folder)
    assert found.iteration == 250
    assert list(momenta) == ["fc7.bias"]
    stored = read_run(run.folder)
    assert stored.experiment.train.schedule.iterations == 4500
    assert stored.experiment.data.dataset == "voc2007"


def test_an_old_model_that_says_nothing_is_default(small_model: FastRCNN, tmp_path: Path) -> None:
    save_model(small_model, tmp_path / "a.safetensors", {})
    model, origin = load_model(tmp_path / "a.safetensors")
    assert stored_experiment(origin, model.architecture).data == DataSettings()
