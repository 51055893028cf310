"""Information stored with the weights, in this and older formats."""

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_runs import equal, new_model, settings

from frcnn_cli.engine.models.provenance import origin_of, stored_experiment
from frcnn_cli.engine.models.store import load_model, save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import DataSettings, Experiment, Preprocessing
from frcnn_cli.engine.training.checkpoint import load_checkpoint
from frcnn_cli.engine.training.loop import train
from frcnn_cli.engine.training.run import Run
from frcnn_cli.engine.training.run_folder import read_run, write_setting
from frcnn_proposals.base import Proposals

MakeProposals = Callable[[Dataset], dict[str, Proposals]]


@pytest.fixture
def run(tiny_dataset: Dataset, grid_proposals: MakeProposals, run_folder: Path) -> Run:
    return Run(run_folder, tiny_dataset, grid_proposals(tiny_dataset), settings(6, every=2))


def test_settings_and_versions_are_stored_with_the_weights(run: Run) -> None:
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
    assert description["format"] == 3
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


def test_a_model_of_format_1_loads_with_all_its_settings(
    small_model: FastRCNN, tmp_path: Path
) -> None:
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


def test_a_checkpoint_of_format_1_can_be_resumed(run: Run, small_model: FastRCNN) -> None:
    """Tensors and progress as written by the first version."""
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
    _, memory, found = load_checkpoint(run.folder)
    assert found.iteration == 250
    assert list(memory) == ["momentum_buffer.fc7.bias"]
    stored = read_run(run.folder)
    assert stored.experiment.train.schedule.iterations == 4500
    assert stored.experiment.data.dataset == "voc2007"


def test_a_model_without_settings_has_default_settings(
    small_model: FastRCNN, tmp_path: Path
) -> None:
    save_model(small_model, tmp_path / "a.safetensors", {})
    model, origin = load_model(tmp_path / "a.safetensors")
    assert stored_experiment(origin, model.architecture).data == DataSettings()


def test_a_model_has_names_in_place_of_paths(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data" / "shapes").mkdir(parents=True)
    experiment = Experiment(
        weights="/weights/of/someone.pth",
        data=DataSettings(f"{tmp_path}/data/shapes+voc2007", "train", str(tmp_path / "data")),
    )
    origin = origin_of(experiment, "f00d") | {"compressed_from": "/home/someone/model.safetensors"}
    path = tmp_path / "run" / "model.safetensors"
    save_model(new_model(run.dataset), path, origin)
    assert not {b"/home", b"/weights", bytes(tmp_path)} & set(path.read_bytes().split(b'"'))
    model, stored = load_model(path)
    assert stored["compressed_from"] == "model.safetensors"
    shared = stored_experiment(stored, model.architecture, path)
    assert shared.data == DataSettings("shapes+voc2007", "train")
    assert shared.weights == "someone.pth"

    write_setting(path.parent, experiment)
    assert stored_experiment(stored, model.architecture, path) == experiment
    write_setting(path.parent, replace(experiment, data=DataSettings("/other/set", "train", "/r")))
    changed = stored_experiment(stored, model.architecture, path)
    assert (changed.data, changed.weights) == (shared.data, experiment.weights)
    (path.parent / "setting.toml").write_text("[")
    assert stored_experiment(stored, model.architecture, path) == shared
