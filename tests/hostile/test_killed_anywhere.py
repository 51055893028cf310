"""Four commands killed at random moments: they resume and end with the same results.

No file with its final name is ever incomplete, and no worker outlives its parent.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from children import Children
from safetensors import safe_open
from safetensors.numpy import load_file

from frcnn_proposals.store.reader import open_store

pytestmark = pytest.mark.hostile

KILLS = 25  # per command
Arguments = Callable[[str], list[object]]


def propose(name: str) -> list[object]:
    return [
        *("propose", "shapes/JPEGImages", "--source", "dense", "--param", "step=0.4"),
        *("--out", f"{name}.proposals", "--workers", 1),
    ]


def train(name: str) -> list[object]:
    return [
        *("train", "shapes", "--proposals", "shapes.proposals", "--scale", 64, "--weights", "none"),
        *("--iterations", 12, "--checkpoint-every", 3, "--workers", 0, "--out", f"runs/{name}"),
    ]


def detect(name: str) -> list[object]:
    return [
        *("detect", "shapes/JPEGImages", "--model", "model.safetensors", "--source", "dense"),
        *("--score-threshold", 0, "--json", f"{name}.json", "--viz", "--out", f"{name}.pictures"),
    ]


def compress(name: str) -> list[object]:
    return ["compress", "model.safetensors", "--svd-rank", 4, "--out", f"{name}-4.safetensors"]


def store_content(home: Path, name: str) -> object:
    store = open_store(home / f"{name}.proposals")
    return {
        image_id: (store.digest(image_id), store[image_id].boxes.tolist()) for image_id in store
    }


def trained_content(home: Path, name: str) -> object:
    return weights(home / "runs" / name / "model.safetensors")


def compressed_content(home: Path, name: str) -> object:
    return weights(home / f"{name}-4.safetensors")


def weights(path: Path) -> object:
    return {key: value.tobytes() for key, value in load_file(path).items()}


def detected_content(home: Path, name: str) -> object:
    files = sorted((home / f"{name}.pictures").iterdir())
    images = {path.name: path.read_bytes() for path in files if path.suffix == ".jpg"}
    return (home / f"{name}.json").read_bytes(), images


CASES = {
    "propose": (propose, store_content),
    "train": (train, trained_content),
    "detect": (detect, detected_content),
    "compress": (compress, compressed_content),
}


def whole_files(home: Path, name: str) -> None:
    """Raise for an incomplete file with the final name."""
    for path in [*home.glob(f"{name}*"), *home.glob(f"runs/{name}/*")]:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="np") as file:
                assert file.metadata()
        elif path.suffix == ".proposals":
            open_store(path)


def resumed(home: Path, name: str) -> list[object] | None:
    """The command that resumes a training run; None for the other commands, which are repeated."""
    started = (home / "runs" / name / "setting.toml").exists()
    return ["train", "--resume", f"runs/{name}"] if started else None


@pytest.mark.parametrize("command", CASES)
def test_killed_at_random_moments(command: str, children: Children, home: Path) -> None:
    arguments, content = CASES[command]
    environment = {"FRCNN_CACHE": str(home / "cache")}
    whole = children.run(arguments(f"whole-{command}"), home, **environment)
    assert whole.code == 0, whole.output
    expected, duration = content(home, f"whole-{command}"), whole.seconds
    moments = random.Random(command)
    kills = attempt = 0
    while kills < KILLS:
        name = f"killed{attempt}-{command}"
        attempt += 1
        done = False
        while not done:
            seconds = moments.uniform(0, duration) if kills < KILLS else 600
            next_command = resumed(home, name) or arguments(name)
            outcome = children.run(next_command, home, seconds=seconds, **environment)
            assert not outcome.orphans
            assert not outcome.has_traceback, outcome.output
            whole_files(home, name)
            done = outcome.code == 0
            assert done or outcome.code == -9, outcome
            kills += outcome.code == -9
        duration = max(duration / 2, outcome.seconds)
        assert content(home, name) == expected
    assert attempt < 10 * KILLS
