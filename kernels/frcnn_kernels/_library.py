"""Load the compiled operators, or explain why they cannot be loaded and what to do."""

from __future__ import annotations

import ctypes
import os
import shlex
from pathlib import Path

import torch

INSTRUCTION_SETS = ("avx512", "avx2", "baseline")  # of the CPU operators, best first

HERE = Path(__file__).parent
CPU_LIBRARY = HERE / "_cpu.so"
CUDA_LIBRARY = HERE / "_cuda.so"
_OLDEST_TORCH = (2, 10)  # the libraries are built for its stable ABI


class LibraryError(ImportError):
    """A compiled library is missing, or cannot be loaded.

    cause: what is wrong, in one line. fix: the command that fixes it.
    """

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(f"{cause}\nTo fix it: {fix}", name="frcnn_kernels")
        self.cause, self.fix = cause, fix


def load_operators() -> None:
    """Load `torch.ops.frcnn`: always the CPU operators, and the CUDA operators if torch has CUDA.

    Raises LibraryError if the CPU library is missing or cannot be loaded with the installed torch,
    and ImportError if the environment variable FRCNN_ISA is not one of INSTRUCTION_SETS.
    """
    if not CPU_LIBRARY.exists():
        raise LibraryError(f"The compiled operators are missing: {CPU_LIBRARY}.", build_command())
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
            f"it must be one of {', '.join(INSTRUCTION_SETS)}",
            name="frcnn_kernels",
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


def build_command() -> str:
    """The command that builds the operators on this machine, in place of the present ones."""
    checkout = HERE.parent.parent
    if (checkout / "setup.py").exists():
        return f"pip install --no-build-isolation --no-deps -e {shlex.quote(str(checkout))}"
    # --no-deps: the installed torch stays as it is.
    return "pip install --force-reinstall --no-deps frcnn-*.tar.gz  # the source distribution"


def _load(library: Path) -> None:
    try:
        torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    except OSError as error:
        # torch's own message contains only the path; its cause is the message of the linker.
        reason = " ".join(str(error.__cause__ or error).split())
        cause = f"{library} cannot be loaded with torch {torch.__version__}: {reason}"
        raise LibraryError(cause, _fix()) from error


def _fix() -> str:
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    return "pip install -U torch torchvision" if version < _OLDEST_TORCH else build_command()
