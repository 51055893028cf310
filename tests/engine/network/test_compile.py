"""Compiled feature layers: equal gradients up to rounding, and an error without a compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.compile import compile_features
from frcnn_cli.engine.network.creation import create_model

pytestmark = pytest.mark.long


def test_compiled_layers_return_the_same_features_and_gradients() -> None:
    backbone = find_backbone("caffenet")
    model = create_model(backbone, ("cat",), "none").train()
    found = []
    for is_compiled in (False, True):
        if is_compiled:
            compile_features(model)
        for side in (96, 128):  # the second size is not compiled again
            image = torch.rand(1, 3, side, 96, generator=torch.Generator().manual_seed(side))
            features = model.features(image.contiguous(memory_format=torch.channels_last))
            model.zero_grad()
            features.square().sum().backward()
            gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
            found.append((features.detach(), torch.cat(gradients)))
    for eager, compiled in zip(found[:2], found[2:], strict=True):
        for one, other in zip(eager, compiled, strict=True):
            assert (one - other).norm() <= 1e-4 * one.norm()


def test_without_a_compiler_the_error_says_what_to_do(tmp_path: Path) -> None:
    environment = os.environ | {
        "PATH": str(tmp_path), "CXX": "none", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")
    }  # fmt: skip
    frcnn = [sys.executable, "-m", "frcnn_cli"]
    generate = [*frcnn, "data", "generate", "shapes", "--images", "8"]
    subprocess.run(generate, cwd=tmp_path, check=True, timeout=120)
    options = ["--source", "dense", "--scale", "64", "--weights", "none", "--iterations", "2"]
    done = subprocess.run(
        [*frcnn, "train", "shapes", *options, "--compile"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 1
    assert "cannot be compiled" in done.stderr
    assert "train without --compile" in done.stderr
    assert "Traceback" not in done.stderr
