"""Pipes, devices and invalid names for commands that expect files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from corpus import BadInput

# Path of the special file -> the command that reads it, and the path that its message names.
READERS: dict[str, tuple[tuple[str, ...], str]] = {
    "a.json": (("eval", "HOME/shapes", "--split", "test", "--detections", "a.json"), "a.json"),
    "comp4_det_test_disc.txt": (
        ("eval", "HOME/shapes", "--split", "test", "--detections", "comp4_det_test_disc.txt"),
        "comp4_det_test_disc.txt",
    ),
    "a.pkl": (("proposals", "inspect", "a.pkl"), "a.pkl"),
    "a.mat": (("proposals", "inspect", "a.mat"), "a.mat"),
    "a.csv": (("proposals", "inspect", "a.csv"), "a.csv"),
    "a.npz": (("proposals", "inspect", "a.npz"), "a.npz"),
    "a.proposals": (("proposals", "inspect", "a.proposals"), "a.proposals"),
    "a.toml": (("train", "--config", "a.toml"), "a.toml"),
    "a.txt": (("propose", "a.txt", "--source", "dense", "--out", "o"), "a.txt"),
    "a.safetensors": (("model", "info", "a.safetensors"), "a.safetensors"),
    "a.pth": (("import-torchvision", "a.pth", "--arch", "resnet18"), "a.pth"),
    "a.caffemodel": (("import-caffe", "a.caffemodel", "--arch", "caffenet"), "a.caffemodel"),
    "set/data.yaml": (("data", "check", "set"), "set"),
    "set/instances_test.json": (("data", "check", "set"), "set"),
    "set/ImageSets/Main/test.txt": (("data", "check", "set"), "set"),
    "run/setting.toml": (("train", "--resume", "run"), "run"),
    "run/.lock": (("train", "--resume", "run"), "run"),
    "run/metrics.jsonl": (("train", "--resume", "run"), "run"),
}


def bad_places() -> Iterator[BadInput]:
    for place, (arguments, named) in READERS.items():
        yield BadInput(f"place/a pipe as {place}", _made(place, os.mkfifo), arguments, named)
        for device in ("/dev/zero", "/dev/null"):
            name = f"place/{device} as {place}"
            yield BadInput(name, _made(place, _link_to(device)), arguments, named)


def _made(place: str, make: Callable[[Path], None]) -> Callable[[Path], None]:
    def made(folder: Path) -> None:
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        (folder / "set" / "test").mkdir(parents=True, exist_ok=True)
        make(path)

    return made


def _link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)
