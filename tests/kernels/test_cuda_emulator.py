"""The emulator of CUDA kernels detects errors: broken kernels fail, and the unbroken ones pass."""

from __future__ import annotations

import sys
from pathlib import Path

import cuda_emulator
import pytest
import torch
from roi_pool_samples import random_rois
from test_nms import boxes_and_scores
from torch import Tensor

NMS, FORWARD, BACKWARD = "nms.cu", "roi_pool.cu", "roi_pool_backward.cu"
SWITCH = """#include <cstdlib>
static int broken() { return std::atoi(std::getenv("FRCNN_BROKEN_KERNEL")); }
"""
# File, text, and the text in which error N is switched on by broken() == N.
CHANGES = (
    (NMS, "suppressed_by[row] =", "suppressed_by[row + kTile * (broken() == 1)] ="),
    (
        NMS,
        "threadIdx.x];\n    __syncthreads();",
        "threadIdx.x];\n    if (broken() != 2) __syncthreads();",
    ),
    (NMS, "if (lane == 0) s", "if (lane == 0 && broken() != 3) s"),
    (
        NMS,
        "<< kWarp;\n    __syncthreads();",
        "<< kWarp;\n    if (broken() != 12) __syncthreads();",
    ),
    (FORWARD, "argmax[at] =", "argmax[at + (broken() == 4)] ="),
    (FORWARD, "out[at]", "out[at + (broken() == 13)]"),
    (FORWARD, "row < rows[1]; ++row", "row < rows[1] - (broken() == 5); ++row"),
    (FORWARD, "if (value > best)", "if (broken() == 6 ? value >= best : value > best)"),
    (NMS, "kPart = 1024, kLargestClass = 4096", "kPart = 128, kLargestClass = 256"),
    (
        NMS,
        "kept[start + threadIdx.x];\n      }\n      __syncthreads();",
        "kept[start + threadIdx.x];\n      }\n      if (broken() != 16) __syncthreads();",
    ),
    (NMS, "at = decided +", "at = decided + 64 * (broken() == 17) +"),
    (BACKWARD, "= sum;\n  __syncwarp();", "= sum;\n  if (broken() != 7) __syncwarp();"),
    (
        BACKWARD,
        "item = first;",
        "item = first + 8 * (threadIdx.x % kWarp) * (broken() == 8);",
    ),
    (
        BACKWARD,
        "in_shared ? planes * bytes_per_plane",
        "in_shared ? planes * bytes_per_plane - 4 * (broken() == 9)",
    ),
    (BACKWARD, "allow_shared(kernel, planes", "allow_shared(kernel, (broken() != 14) * planes"),
    (BACKWARD, "(shared) + warp *", "(shared) + (broken() == 15 ? 0 : warp) *"),
    (BACKWARD, "sums + at *", "sums + (broken() == 10 ? 0 : at) *"),
    (
        BACKWARD,
        "(sharing & lower_lanes) == 0",
        "(broken() == 11 || (sharing & lower_lanes) == 0)",
    ),
)
ERRORS = {
    "index outside of a shared array": (1, "index \\d+ is outside of an array"),
    "missing barrier of the block": (2, "shared memory"),
    "shared memory that is not written": (3, "reads shared memory that its block has not written"),
    "index outside of a tensor": (4, "writes outside of all tensors"),
    "window one row too short": (5, None),
    "last of equal maxima": (6, None),
    "missing barrier of the warp": (7, "race in shared memory: .* without a barrier between"),
    "lanes that leave a loop early": (8, "divergence: thread .* has left the kernel|waits in"),
    "too little shared memory": (9, "outside of the shared memory of the launch"),
    "memory that blocks share": (10, "race in global memory: .* in another block"),
    "missing barrier before the next boxes": (12, "race in shared memory"),
    "lanes that add at once": (11, "race in shared memory"),
    "more shared memory than a launch may use": (14, "launch with \\d+ bytes .* did not opt in"),
    "warps that share a plane": (15, "race in shared memory"),
    "missing barrier before the comparison with later boxes": (16, "shared memory"),
    "later boxes that are not compared": (17, None),
}


@pytest.fixture(scope="module")
def broken_operators(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Namespace of operators whose error is selected by the variable FRCNN_BROKEN_KERNEL."""
    files = {name: text for name, text in cuda_emulator.sources().items() if name != "roi_table.cu"}
    for name, old, new in CHANGES:
        assert files[name].count(old) == 1, f"{name} contains {files[name].count(old)} times: {old}"
        files[name] = files[name].replace(old, new)
    files = {name: SWITCH + text for name, text in files.items()}
    files["roi_table.cu"] = cuda_emulator.sources()["roi_table.cu"]
    folder = tmp_path_factory.mktemp("broken")
    return cuda_emulator.load(cuda_emulator.build(folder, "frcnn_broken", files))


def results(namespace: str) -> list[Tensor]:
    """What the operators of a namespace return for inputs that reveal every error above."""
    operators = getattr(torch.ops, namespace)
    boxes, scores = boxes_and_scores(400, seed=3)
    labels = torch.arange(400) // 300  # also parts of 64 boxes in which no class begins
    found = [operators.nms(boxes, scores, each, 0.3) for each in (None, labels)]
    # Sums in shared memory, in four planes, in more than the default 48 KB, and in global memory.
    for count, shape in (
        (12, (2, 3, 9, 13)),
        (99, (1, 1, 9, 13)),
        (12, (1, 1, 120, 130)),
        (12, (1, 5, 130, 130)),
    ):
        features = torch.randint(0, 9, shape, generator=torch.Generator().manual_seed(0)).float()
        rois = random_rois(count, shape)
        pooled, argmax = operators.roi_pool(features, rois, 7, 6, 1.0)
        found += [pooled, argmax]
        found.append(operators.roi_pool_backward(pooled, rois, argmax, *shape, False))
    return found


def equal(namespace: str) -> bool:
    expected = results("frcnn")
    return all(map(torch.equal, results(namespace), expected))


@pytest.mark.parametrize("name", ERRORS)
def test_a_broken_kernel_fails(
    name: str, broken_operators: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, message = ERRORS[name]
    monkeypatch.setenv("FRCNN_BROKEN_KERNEL", str(number))
    if message is None:
        assert not equal(broken_operators)
    else:
        with pytest.raises(RuntimeError, match=f"emulator: .*({message})"):
            results(broken_operators)


def test_a_kernel_that_leaves_a_view_fails(
    broken_operators: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the memory belongs to the storage of the view."""
    features, rois = torch.ones(1, 3, 9, 13), random_rois(2, (1, 3, 9, 13))
    out = torch.empty(2 * 3 * 4 * 4 + 100)[:-100].view(2, 3, 4, 4)
    pool = getattr(torch.ops, broken_operators).roi_pool_out
    monkeypatch.setenv("FRCNN_BROKEN_KERNEL", "0")
    pool(features, rois, 1.0, out=out)
    monkeypatch.setenv("FRCNN_BROKEN_KERNEL", "13")
    with pytest.raises(RuntimeError, match=r"emulator: .*writes outside of all tensors"):
        pool(features, rois, 1.0, out=out)


def test_the_same_kernels_pass_without_their_errors(
    broken_operators: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRCNN_BROKEN_KERNEL", "0")
    assert equal(broken_operators)


def test_a_machine_without_a_compiler_skips_the_emulation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match="no C\\+\\+ compiler was found"):
        cuda_emulator.build_once(tmp_path)


def test_other_systems_than_linux_skip_the_emulation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(pytest.skip.Exception, match="needs Linux"):
        cuda_emulator.build_once(tmp_path)


def test_a_compiler_that_fortifies_by_default_is_told_not_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise jumps between fibers call __longjmp_chk, which ends the process."""
    fortifying = tmp_path / "c++"
    fortifying.write_text(f'#!/bin/sh\nexec {cuda_emulator.compiler()} -D_FORTIFY_SOURCE=2 "$@"\n')
    fortifying.chmod(0o755)
    monkeypatch.setenv("CXX", str(fortifying))
    library = cuda_emulator.build(tmp_path / "built", "fortified", {}).read_bytes()
    assert b"longjmp" in library
    assert b"__longjmp_chk" not in library
