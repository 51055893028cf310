"""The devices on which the operators are tested."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from cuda_emulator import EMULATED, build_once, in_place_of_cpu_operators, load


@pytest.fixture(scope="session")
def emulated_operators(request: pytest.FixtureRequest) -> str:
    """Namespace of the CUDA operators for CPU tensors, as cuda_emulator.py compiles them."""
    return load(build_once(Path(request.config.rootpath) / "build" / "emulator"))


@pytest.fixture(params=["cpu", EMULATED, "cuda"])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """Name of a device. Tests on the GPU are skipped on machines without one.

    With the emulated GPU it is "cpu", but the operators run the CUDA kernels.
    """
    if request.param == EMULATED:
        with in_place_of_cpu_operators(request.getfixturevalue("emulated_operators")):
            yield "cpu"
        return
    if request.param == "cuda":
        from frcnn_kernels._library import CUDA_LIBRARY

        if not torch.cuda.is_available():
            pytest.skip("this machine has no GPU")
        if not CUDA_LIBRARY.exists():
            pytest.skip("the CUDA operators were not built")
    yield str(request.param)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tested instruction set and the GPU architectures of the build."""
    import frcnn_kernels

    terminalreporter.write_line(f"CPU operators ran with: {frcnn_kernels.instruction_set()}")
    built = ", ".join(frcnn_kernels.cuda_architectures()) or "none"
    present = "tested on a GPU" if torch.cuda.is_available() else "not tested, no GPU"
    terminalreporter.write_line(f"CUDA operators built for compute capability: {built}; {present}")
