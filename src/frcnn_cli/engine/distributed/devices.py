"""Where the network runs: devices, their precision, and the cores of this machine."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from frcnn_cli.engine.settings import Precision, PrecisionChoice
from frcnn_proposals.errors import MisuseError

if TYPE_CHECKING:
    import torch


def usable_cores() -> int:
    """The cores that this process may use: in a container, fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def find_device(name: str) -> torch.device:
    """`auto` is a GPU where there is one, else the CPU; other names are torch's.

    Raises MisuseError for a device that is not there.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise MisuseError(f"There is no device '{name}'. Give auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise MisuseError(
            f"'{name}' needs a GPU that torch can use, and there is none. Give --device cpu."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise MisuseError(
            f"There is no device '{name}': this machine has {torch.cuda.device_count()} GPUs."
        )
    return device


_X86 = ("x86_64", "AMD64", "i686")


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether `device` has instructions for bfloat16, rather than emulating it.

    On a CPU this asks oneDNN, which obeys ONEDNN_MAX_CPU_ISA. With plain AVX-512 oneDNN emulates
    bfloat16, slower than float32; so x86 must also have AVX512-BF16 or AMX.
    """
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    of_onednn = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if not of_onednn or platform.machine() not in _X86:
        return of_onednn
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def missing_instructions(device: torch.device) -> str:
    """The instructions that a device without fast bfloat16 lacks, for messages."""
    if device.type == "cuda":
        return "this GPU has no bfloat16 arithmetic (it needs compute capability 8.0)"
    needed = "AVX512-BF16 or AMX" if platform.machine() in _X86 else "bfloat16 instructions"
    return f"this processor has no bfloat16 arithmetic ({needed})"


def choose_precision(choice: PrecisionChoice, device: torch.device, measured: bool) -> Precision:
    """The precision to compute in on `device`.

    measured: whether bfloat16 was measured to be faster and as accurate for this network
    (`BackboneDefaults.bfloat16`); `auto` takes bfloat16 only then, and only where it is fast.
    Raises MisuseError where bfloat16 is requested by name and `device` would emulate it.
    """
    if choice == "auto":
        return "bfloat16" if measured and has_fast_bfloat16(device) else "float32"
    if choice == "bfloat16" and not has_fast_bfloat16(device):
        raise MisuseError(
            f"--precision bfloat16: {missing_instructions(device)} and would emulate it, up to "
            "100 times slower.\nUse --precision float32, or auto."
        )
    return choice
