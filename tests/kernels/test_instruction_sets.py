"""Every operator with every instruction set of this processor: the results equal the reference and
are bit-identical."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path

import pytest
import torch
from child_runs import run_child
from roi_pool_samples import (
    DTYPES,
    MIXES,
    SAMPLES,
    STREAMED_MAPS,
    gradients_of_single_cells,
    mixed_features,
    random_rois,
    streamed_features,
    streamed_rois,
)
from test_nms import boxes_and_scores
from test_selective_search import GOLDEN
from test_selective_search import digest as selective_search_digest

from frcnn_kernels import (
    batched_nms,
    depthwise_weight_gradient,
    instruction_set,
    nms,
    roi_pool,
)
from frcnn_kernels._library import CPU_LIBRARY, INSTRUCTION_SETS
from frcnn_kernels.reference import (
    depthwise_weight_gradient_reference,
    nms_reference,
    roi_pool_backward_reference,
    roi_pool_reference,
)

OPERATORS = torch.ops.frcnn
# Processor flags that the kernels need, as Linux names them.
FLAGS = {
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "f16c"},
    "avx2": {"avx2", "f16c"},
    "baseline": set(),
}


def results() -> dict[str, str]:
    """The instruction set in use and a digest of each operator's results; run in a child process.

    Fails if a result differs from the reference.
    """
    return {
        "instruction set": instruction_set(),
        "roi_pool": _digest(_roi_pool_results()),
        "nms": _digest(_nms_results()),
        "depthwise": _digest(_depthwise_results()),
        "selective_search": selective_search_digest(),
    }


def _roi_pool_results() -> list[torch.Tensor]:
    found = []
    for sample in SAMPLES:
        rois, grid, scale = sample.roi_tensor(), sample.output_size, sample.spatial_scale
        for dtype in DTYPES:
            features = sample.features(dtype)
            pooled, argmax = OPERATORS.roi_pool(features, rois, *grid, scale)
            expected, cells = roi_pool_reference(features, rois, grid, scale)
            weights = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(1))
            weights = weights.to(dtype)
            gradient = OPERATORS.roi_pool_backward(
                weights, rois, argmax, *sample.shape, sample.channels_last
            )
            assert torch.equal(pooled, expected), (sample, dtype)
            assert torch.equal(argmax, cells), (sample, dtype)
            by_definition = roi_pool_backward_reference(weights, rois, cells, sample.shape)
            assert torch.equal(gradient, by_definition), (sample, dtype)
            found += [pooled, argmax, gradient]
    # Outputs of 4 MB and more are written past the caches; with an argmax, this one is too.
    for dtype in DTYPES:
        for size in STREAMED_MAPS:
            features, rois = streamed_features(size, dtype), streamed_rois(size)
            pooled, argmax = OPERATORS.roi_pool(features, rois, 7, 7, 1.0)
            assert torch.equal(roi_pool(features, rois, 7, 1.0), pooled), dtype
            found += [pooled, argmax]
    return found + _special_roi_pool_results()


def _special_roi_pool_results() -> list[torch.Tensor]:
    """Of values that compare or round in a special way; test_roi_pool_values.py checks them."""
    found = []
    for dtype in DTYPES:
        for mix in MIXES:
            features = mixed_features(mix, (2, 70, 9, 13), dtype)
            found += OPERATORS.roi_pool(features, random_rois(20, features.shape), 3, 2, 1.0)
    for dtype in (torch.bfloat16, torch.float16):
        gradients, rois, sums = gradients_of_single_cells(dtype)
        argmax = (rois[:, 1] + 32 * rois[:, 2]).to(torch.int16)[:, None, None, None]
        argmax = argmax.expand(gradients.shape).contiguous()
        arguments = (gradients, rois, argmax, *sums.shape)
        found += [OPERATORS.roi_pool_backward(*arguments, last) for last in (False, True)]
    return found


def _nms_results() -> list[torch.Tensor]:
    boxes, scores = boxes_and_scores(150, seed=1)
    assert torch.equal(nms(boxes, scores, 0.3), nms_reference(boxes, scores, 0.3))
    boxes, scores = boxes_and_scores(3000, seed=5)
    labels = torch.arange(3000) * 7919 % 5
    return [nms(boxes, scores, 0.3), batched_nms(boxes, scores, labels, 0.5)]


def _depthwise_results() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 37, 9, 8, generator=generator)
    gradient = torch.randn(2, 37, 5, 4, generator=generator)
    found = depthwise_weight_gradient(gradient, x, 2)
    expected = depthwise_weight_gradient_reference(gradient, x, 2)
    assert torch.allclose(found.double(), expected, atol=1e-4)
    return [found]


def _digest(tensors: list[torch.Tensor]) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


@pytest.fixture(scope="module")
def results_of() -> dict[str, dict[str, str]]:
    """`results` of a child process for each value of FRCNN_ISA."""
    found = {}
    for name in INSTRUCTION_SETS:
        code = "import json, test_instruction_sets as t; print(json.dumps(t.results()))"
        child = run_child(code, FRCNN_ISA=name, OMP_NUM_THREADS="1")
        assert child.returncode == 0, child.stderr
        found[name] = json.loads(child.stdout)
    return found


def available() -> list[str]:
    """The instruction sets of this processor, best first, from its flags."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return ["baseline"]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    except OSError:
        pytest.skip("this system has no /proc/cpuinfo")
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), set())
    return [name for name in INSTRUCTION_SETS if FLAGS[name] <= flags]


@pytest.mark.parametrize("operator", ["roi_pool", "nms", "depthwise", "selective_search"])
def test_instruction_sets_give_the_same_bits(
    operator: str, results_of: dict[str, dict[str, str]]
) -> None:
    assert {found[operator] for found in results_of.values()} == {results_of["baseline"][operator]}


def test_selective_search_gives_the_golden_boxes(results_of: dict[str, dict[str, str]]) -> None:
    assert {found["selective_search"] for found in results_of.values()} == {GOLDEN}


def test_the_selected_set_is_used_or_else_the_best_of_the_processor(
    results_of: dict[str, dict[str, str]],
) -> None:
    sets = available()
    for name, found in results_of.items():
        assert found["instruction set"] == (name if name in sets else sets[0])


@pytest.mark.parametrize("setting", [None, ""])
def test_by_default_the_best_set_of_the_processor_is_used(
    setting: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if setting is None:
        monkeypatch.delenv("FRCNN_ISA", raising=False)
    else:
        monkeypatch.setenv("FRCNN_ISA", setting)
    child = run_child("import frcnn_kernels; print(frcnn_kernels.instruction_set())")
    assert child.stdout.strip() == available()[0]


@pytest.mark.parametrize("name", ["sse9", "AVX2", "avx2 "])
def test_an_unknown_name_is_an_error_that_lists_the_names(name: str) -> None:
    child = run_child("import frcnn_kernels", FRCNN_ISA=name)
    assert child.returncode != 0
    message = child.stderr.splitlines()[-1]
    assert (
        message == f"ImportError: FRCNN_ISA is {name!r}: it must be one of avx512, avx2, baseline"
    )


def test_operators_reject_an_unknown_name() -> None:
    code = f"""
import torch
torch.ops.load_library({str(CPU_LIBRARY)!r})  # the package would raise on import
operators = torch.ops.frcnn
plane, rois = torch.zeros(1, 1, 4, 4), torch.zeros(1, 5)
for call in (
    lambda: operators.roi_pool(plane, rois, 2, 2, 1.0),
    lambda: operators.nms(torch.zeros(1, 4), torch.zeros(1), None, 0.5),
    lambda: operators.depthwise_weight_gradient(plane, plane, 1),
    lambda: operators.selective_search(
        torch.zeros(8, 8, 3, dtype=torch.uint8), [0], [50], [15], 4, 50, 20, 1, 100
    ),
):
    try:
        call()
    except RuntimeError as error:
        print(error)
"""
    child = run_child(code, FRCNN_ISA="sse9")
    expected = "FRCNN_ISA is 'sse9': it must be avx512, avx2 or baseline"
    assert child.stdout.splitlines() == [expected] * 4, child.stderr
