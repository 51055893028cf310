"""`frcnn import-torchvision` on checkpoints of small networks."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
import torchvision
from called import frcnn
from safetensors.torch import load_file
from torch import Tensor


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    torch.manual_seed(0)
    state: dict[str, Tensor] = torchvision.models.squeezenet1_1(weights=None).state_dict()
    return state


def test_training_starts_from_an_imported_checkpoint(
    tmp_path: Path, published: dict[str, Tensor]
) -> None:
    path = tmp_path / "squeezenet1_1-b8a52dc0.pth"
    torch.save({"state_dict": {f"module.{k}": v for k, v in published.items()}}, path)
    done = frcnn("import-torchvision", path)
    assert done.exit_code == 0, done.output
    weights = path.with_suffix(".safetensors")
    options = f"--backbone torchvision:squeezenet1_1 --weights {weights}"
    assert options in done.output.replace("\n", "")
    stored = load_file(weights)
    assert stored.keys() == published.keys()
    assert all(torch.equal(stored[name], value) for name, value in published.items())
    assert frcnn("data", "generate", tmp_path / "shapes", "--images", 8).exit_code == 0
    trained = frcnn("train", tmp_path / "shapes", "--backbone", "torchvision:squeezenet1_1",
                    "--weights", weights, "--iterations", 1, "--scale", 64, "--workers", 0,
                    "--source", "dense", "--out", tmp_path / "run")  # fmt: skip
    assert trained.exit_code == 0, trained.output


def test_other_files_are_rejected_without_running_their_code(
    tmp_path: Path, published: dict[str, Tensor]
) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (str(tmp_path / "harmed"),))  # type: ignore[return-value]

    harmful = tmp_path / "squeezenet1_1-harm.pth"
    harmful.write_bytes(pickle.dumps({"x": Harm()}))
    cut = tmp_path / "squeezenet1_1-cut.pth"
    torch.save(published, cut)
    cut.write_bytes(cut.read_bytes()[:3000])
    wider = tmp_path / "squeezenet1_1-wide.pth"
    torch.save({**published, "features.0.weight": torch.zeros(64, 3, 5, 5)}, wider)
    nan = tmp_path / "squeezenet1_1-nan.pth"
    torch.save({**published, "features.0.bias": torch.full((64,), torch.nan)}, nan)
    other = tmp_path / "resnet18-abc.pth"
    torch.save(published, other)
    for path, words in (
        (harmful, "weights cannot be read"),
        (cut, "weights cannot be read"),
        (wider, "do not fit"),
        (nan, "not finite"),
        (other, "not weights of torchvision:resnet18"),
        (tmp_path / "squeezenet1_1-none.pth", "file not found"),
    ):
        done = frcnn("import-torchvision", path)
        assert done.exit_code == 1, done.output
        assert words in done.output
        assert len(done.output.strip().splitlines()) <= 3
        assert not path.with_suffix(".safetensors").exists()
    assert not (tmp_path / "harmed").exists()


def test_the_network_must_be_known(tmp_path: Path, published: dict[str, Tensor]) -> None:
    path = tmp_path / "mine.pth"
    torch.save(published, path)
    assert "Name the network, for example --arch" in frcnn("import-torchvision", path).output
    assert "Did you mean" in frcnn("import-torchvision", path, "--arch", "squeezenet1_9").output
    assert "cannot be a backbone" in frcnn("import-torchvision", path, "--arch", "vit_b_16").output
    assert frcnn("import-torchvision", path, "--arch", "squeezenet1_1").exit_code == 0
