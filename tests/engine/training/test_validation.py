"""Evaluation on val during training: the best model is saved; val is never trained on."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from small_runs import equal, new_model, settings, weights

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.evaluation.voc import VocResult, evaluate_voc
from frcnn_cli.engine.models.store import load_model
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import DataSettings
from frcnn_cli.engine.training.checkpoint import load_progress
from frcnn_cli.engine.training.loop import resume, train
from frcnn_cli.engine.training.run import Run, StepReport, Validation, validation_dataset
from frcnn_cli.engine.training.validation import validate
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError

MakeProposals = Callable[[Dataset], dict[str, Proposals]]


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    generate_dataset(tmp_path / "shapes", images=16, seed=3, size=(128, 96))
    return tmp_path / "shapes"


def test_the_best_model_on_val_is_saved(
    shapes: Path, tmp_path: Path, grid_proposals: MakeProposals
) -> None:
    data = find_dataset(str(shapes), "train")
    val = validation_dataset(DataSettings(str(shapes), "train"), data)
    validation = Validation(val, grid_proposals(val))
    chosen = settings(8, every=3, eval_every=3)
    run = Run(tmp_path / "run", data, grid_proposals(data), chosen, validation=validation)
    trained = train(new_model(data), run)
    lines = (run.folder / "evaluations.jsonl").read_text().splitlines()
    scores = {row["iteration"]: row["map"] for row in map(json.loads, lines)}
    assert list(scores) == [3, 6, 8]  # and at the end
    best, origin = load_model(run.folder / "best.safetensors")
    assert trained.best == max(scores.values()) == origin["val_map"] == scores[origin["iteration"]]
    assert validate(best, validation) == trained.best
    # Evaluation does not change the training.
    plain = train(new_model(data), replace(run, folder=tmp_path / "plain", settings=settings(8, 3)))
    assert equal(weights(plain.path), weights(trained.path))


def test_the_best_of_three_scores_is_saved_and_the_earlier_of_equal_ones(
    shapes: Path,
    tmp_path: Path,
    grid_proposals: MakeProposals,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores = iter([0.2, 0.5, 0.3, 0.5])
    monkeypatch.setattr("frcnn_cli.engine.training.validation.validate", lambda *_: next(scores))
    data = find_dataset(str(shapes), "train")
    validation = Validation(find_dataset(str(shapes), "val"), {})
    run = Run(
        tmp_path / "run", data, grid_proposals(data), settings(4, every=9, eval_every=1),
        validation=validation,
    )  # fmt: skip
    assert train(new_model(data), run).best == 0.5
    _, origin = load_model(run.folder / "best.safetensors")
    assert (origin["iteration"], origin["val_map"]) == (2, 0.5)


def test_evaluations_continue_after_a_resume(
    shapes: Path, tmp_path: Path, grid_proposals: MakeProposals
) -> None:
    data = find_dataset(str(shapes), "train")
    val = find_dataset(str(shapes), "val")
    validation = Validation(val, grid_proposals(val))
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
    folders = (run.folder, tmp_path / "whole")
    texts = [(folder / "evaluations.jsonl").read_text() for folder in folders]
    assert texts[0] == texts[1]


# Trains for 6 iterations, and validates after 2, 4 and 6; ends in the validation with this number.
ENDED_IN_VALIDATION = """
import os, signal, sys, time
from frcnn_cli.__main__ import main
from frcnn_cli.engine.training import validation

calls, validate = [], validation.validate

def ended(*given):
    calls.append(1)
    if len(calls) == {number}:
        os.kill(os.getpid(), signal.{signal})
        time.sleep(60)  # a long validation
    return validate(*given)

validation.validate = ended
sys.argv[1:] = {arguments}
sys.exit(main())
"""
TRAINING = (
    *("--backbone", "efficientnet_lite0", "--weights", "none", "--scale", "64", "--workers", "0"),
    *("--variant", "one-head", "--source", "dense", "--set", "train.proposals=40"),
    *("--iterations", "6", "--eval-every", "2", "--checkpoint-every", "500", "--split", "train"),
)


def child(folder: Path, *program: str) -> int:
    """The exit code of Python with this program, in `folder`."""
    own = {"FRCNN_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}  # for equal bits
    command = [sys.executable, *program]
    return subprocess.run(command, cwd=folder, env=os.environ | own, timeout=900).returncode


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, and a run of TRAINING that was not interrupted."""
    folder = tmp_path_factory.mktemp("home")
    generate_dataset(folder / "shapes", images=16, seed=3, size=(128, 96))
    assert child(folder, "-m", "frcnn_cli", "train", "shapes", *TRAINING, "--out", "whole") == 0
    return folder


@pytest.mark.parametrize(("number", "name", "code"), [(2, "SIGINT", 130), (3, "SIGKILL", -9)])
def test_no_iteration_is_lost_in_validation(number: int, name: str, code: int, home: Path) -> None:
    arguments = ["train", "shapes", *TRAINING, "--out", name]
    program = ENDED_IN_VALIDATION.format(number=number, signal=name, arguments=arguments)
    assert child(home, "-c", program) == code
    assert load_progress(home / name).iteration == 2 * number
    assert child(home, "-m", "frcnn_cli", "train", "--resume", name) == 0
    for file in ("model.safetensors", "best.safetensors"):
        assert equal(weights(home / name / file), weights(home / "whole" / file))
    for file, key in (("evaluations.jsonl", "map"), ("metrics.jsonl", "loss")):
        resumed, whole = (
            [(row["iteration"], row[key]) for row in map(json.loads, (home / run / file).open())]
            for run in (name, "whole")
        )
        assert resumed == whole


@pytest.mark.parametrize("split", ["trainval", "val"])
def test_val_is_not_evaluated_if_it_is_trained_on(shapes: Path, split: str) -> None:
    name = str(shapes)
    with pytest.raises(
        MisuseError, match=f"images of the val split are also in the training split {split}"
    ):
        validation_dataset(DataSettings(name, split), find_dataset(name, split))


def test_evaluation_without_a_val_split_is_rejected(shapes: Path) -> None:
    (shapes / "ImageSets" / "Main" / "val.txt").unlink()
    data = find_dataset(str(shapes), "train")
    with pytest.raises(MisuseError, match="No val split to evaluate on"):
        validation_dataset(DataSettings(str(shapes), "train"), data)


def test_unions_are_checked_for_shared_images(shapes: Path, tmp_path: Path) -> None:
    generate_dataset(tmp_path / "more", images=8, seed=4, size=(128, 96))
    union = f"{shapes}+{tmp_path / 'more'}"
    with pytest.raises(MisuseError, match="are also in the training split trainval"):
        validation_dataset(DataSettings(union, "trainval"), find_dataset(union, "trainval"))
    val = validation_dataset(DataSettings(union, "train"), find_dataset(union, "train"))
    assert val.split == "val"


def test_an_image_that_cannot_be_read_is_skipped(
    shapes: Path, grid_proposals: MakeProposals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its objects do not count as missed."""
    scored: list[Dataset] = []

    def evaluate(dataset: Dataset, found: object) -> VocResult:
        scored.append(dataset)
        return evaluate_voc(dataset, found)  # type: ignore[arg-type]

    monkeypatch.setattr("frcnn_cli.engine.training.validation.evaluate_voc", evaluate)
    val = find_dataset(str(shapes), "val")
    val.images[0].path.write_bytes(b"no image")
    validate(new_model(val).eval(), Validation(val, grid_proposals(val)))
    assert scored == [replace(val, images=val.images[1:])]
