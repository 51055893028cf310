"""Devices that the operators' tests run on."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    """Name of a device; the GPU's tests are skipped on machines without one."""
    if request.param == "cuda":
        from frcnn_kernels._library import CUDA_LIBRARY

        if not torch.cuda.is_available():
            pytest.skip("no GPU here")
        if not CUDA_LIBRARY.exists():
            pytest.skip("the CUDA operators were not built")
    return str(request.param)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the instruction set that was tested, and the GPUs that the build serves."""
    import frcnn_kernels

    terminalreporter.write_line(f"CPU operators ran with: {frcnn_kernels.instruction_set()}")
    built = ", ".join(frcnn_kernels.cuda_architectures()) or "none"
    present = "there is a GPU" if torch.cuda.is_available() else "no GPU to test them on"
    terminalreporter.write_line(f"CUDA operators built for compute capability: {built}; {present}")
