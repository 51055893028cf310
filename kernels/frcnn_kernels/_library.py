"""Load the compiled operators, or explain how to build them."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import torch

INSTRUCTION_SETS = ("avx512", "avx2", "baseline")  # of the CPU operators, best first

HERE = Path(__file__).parent
CPU_LIBRARY = HERE / "_cpu.so"
CUDA_LIBRARY = HERE / "_cuda.so"


def load_operators() -> None:
    """Load `torch.ops.frcnn`: always the CPU operators, and the CUDA operators if torch has CUDA.

    Raises ImportError if the CPU library is missing or cannot be loaded with the installed torch,
    or if the environment variable FRCNN_ISA is not one of INSTRUCTION_SETS.
    """
    if not CPU_LIBRARY.exists():
        raise ImportError(
            f"frcnn's compiled operators are missing ({CPU_LIBRARY}).\n"
            "Build them in the checkout with: make setup"
            " (or: pip install --no-build-isolation -e .)"
        )
    _load(CPU_LIBRARY)
    instruction_set()
    if CUDA_LIBRARY.exists() and torch.version.cuda is not None:
        _load(CUDA_LIBRARY)


def instruction_set() -> str:
    """Name of the instruction set that all CPU operators use, one of INSTRUCTION_SETS.

    By default the best set of the processor; the environment variable FRCNN_ISA can select a
    smaller one and is read once per process. Raises ImportError if FRCNN_ISA has another value.
    """
    name = ctypes.CDLL(str(CPU_LIBRARY)).frcnn_instruction_set
    name.restype = ctypes.c_char_p
    chosen: bytes | None = name()
    if chosen is None:
        raise ImportError(
            f"FRCNN_ISA is {os.environ.get('FRCNN_ISA')!r}: "
            f"it must be one of {', '.join(INSTRUCTION_SETS)}"
        )
    return chosen.decode()


def cuda_architectures() -> tuple[str, ...]:
    """Compute capabilities that the CUDA operators were compiled for, such as ("80", "90").

    Empty if the operators were not built or this torch has no CUDA.
    """
    if not CUDA_LIBRARY.exists() or torch.version.cuda is None:
        return ()
    name = ctypes.CDLL(str(CUDA_LIBRARY)).frcnn_cuda_architectures
    name.restype = ctypes.c_char_p
    return tuple(name().decode().split(";"))


def _load(library: Path) -> None:
    try:
        torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    except OSError as error:
        raise ImportError(
            f"{library.name} cannot be loaded with torch {torch.__version__}: {error}\n"
            "Rebuild it against this torch with: pip install --no-build-isolation --no-deps -e ."
        ) from error
