"""The compiled library: every instruction set in it, and what is said when it is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import frcnn_kernels
from frcnn_kernels import _library

AGREE = """
import torch
from roi_pool_samples import DTYPES, SAMPLES
from test_nms import boxes_and_scores
from frcnn_kernels import nms
from frcnn_kernels.reference import nms_reference, roi_pool_reference
for sample in SAMPLES:
    for dtype in DTYPES:
        features, rois = sample.features(dtype), sample.roi_tensor()
        expected = roi_pool_reference(features, rois, sample.output_size, sample.spatial_scale)
        found = torch.ops.frcnn.roi_pool(features, rois, *sample.output_size, sample.spatial_scale)
        assert torch.equal(found[0], expected[0]), (sample, dtype)
        assert torch.equal(found[1], expected[1]), (sample, dtype)
boxes, scores = boxes_and_scores(150, seed=1)
assert torch.equal(nms(boxes, scores, 0.3), nms_reference(boxes, scores, 0.3))
"""


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_every_instruction_set_agrees_with_the_reference(isa: str) -> None:
    environment = {**os.environ, "FRCNN_ISA": isa, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", AGREE], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_library_says_how_to_build_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_library, "CPU_LIBRARY", tmp_path / "_cpu.so")
    with pytest.raises(ImportError, match="make setup"):
        _library.load_operators()


def test_a_library_that_does_not_load_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "_cpu.so"
    broken.write_bytes(b"\x7fELF, but no library")
    monkeypatch.setattr(_library, "CPU_LIBRARY", broken)
    with pytest.raises(ImportError, match="does not load beside torch"):
        _library.load_operators()


def test_the_cpu_library_needs_no_gpu_library_and_no_python() -> None:
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("readelf is not installed")
    dynamic = subprocess.run(
        [readelf, "-d", str(_library.CPU_LIBRARY)], capture_output=True, text=True, check=True
    )
    assert "libtorch_cpu.so" in dynamic.stdout
    assert "cuda" not in dynamic.stdout
    assert "python" not in dynamic.stdout


def test_the_build_says_which_gpus_it_serves() -> None:
    built = frcnn_kernels.cuda_architectures()
    if not _library.CUDA_LIBRARY.exists() or torch.version.cuda is None:
        assert built == ()
        pytest.skip("the CUDA operators were not built: no nvcc, or torch is a CPU build")
    print(f"CUDA operators built for: {', '.join(built)}")
    assert all(architecture.isdigit() for architecture in built)
