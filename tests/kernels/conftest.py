"""The devices on which the operators are tested."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    """Name of a device. Tests on the GPU are skipped on machines without one."""
    if request.param == "cuda":
        from frcnn_kernels._library import CUDA_LIBRARY

        if not torch.cuda.is_available():
            pytest.skip("this machine has no GPU")
        if not CUDA_LIBRARY.exists():
            pytest.skip("the CUDA operators were not built")
    return str(request.param)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tested instruction set and the GPU architectures of the build."""
    import frcnn_kernels

    terminalreporter.write_line(f"CPU operators ran with: {frcnn_kernels.instruction_set()}")
    built = ", ".join(frcnn_kernels.cuda_architectures()) or "none"
    present = "tested on a GPU" if torch.cuda.is_available() else "not tested, no GPU"
    terminalreporter.write_line(f"CUDA operators built for compute capability: {built}; {present}")
