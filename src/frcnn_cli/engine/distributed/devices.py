"""Devices, their precision, and the cores of this machine."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from frcnn_cli.engine.settings import Precision, PrecisionChoice
from frcnn_proposals.errors import MisuseError

if TYPE_CHECKING:
    import torch


def usable_cores() -> int:
    """Return the number of cores that this process may use; in a container, maybe not all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def find_device(name: str) -> torch.device:
    """Return the device for a name: one of torch, or `auto` for a GPU if available, else the CPU.

    Raises MisuseError if the device does not exist.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise MisuseError(f"Unknown device '{name}'; expected auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise MisuseError(f"Device '{name}': torch finds no GPU. Use --device cpu.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise MisuseError(
            f"Device '{name}' does not exist: this machine has {torch.cuda.device_count()} GPUs."
        )
    return device


_X86 = ("x86_64", "AMD64", "i686")


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether `device` has instructions for bfloat16, rather than emulating it.

    On a CPU oneDNN decides, which respects ONEDNN_MAX_CPU_ISA. With plain AVX-512 oneDNN emulates
    bfloat16, which is slower than float32; so x86 must also have AVX512-BF16 or AMX.
    """
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    supported_by_onednn = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if not supported_by_onednn or platform.machine() not in _X86:
        return supported_by_onednn
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def missing_instructions(device: torch.device) -> str:
    """Describe the missing instructions of a device without fast bfloat16, for messages."""
    if device.type == "cuda":
        return "this GPU has no bfloat16 arithmetic (requires compute capability 8.0)"
    required = "AVX512-BF16 or AMX" if platform.machine() in _X86 else "bfloat16 instructions"
    return f"this processor has no bfloat16 arithmetic (requires {required})"


def choose_precision(
    choice: PrecisionChoice,
    device: torch.device,
    measured: bool,
    where: str = "--precision bfloat16",
) -> Precision:
    """Choose the precision of computations on `device`.

    measured: whether bfloat16 was measured to be faster and as accurate for this network
    (`BackboneDefaults.bfloat16`); `auto` uses bfloat16 only then, and only if it is fast.
    Raises MisuseError if bfloat16 is requested explicitly, by `where`, and `device` would emulate
    it.
    """
    if choice == "auto":
        return "bfloat16" if measured and has_fast_bfloat16(device) else "float32"
    if choice == "bfloat16" and not has_fast_bfloat16(device):
        raise MisuseError(
            f"{where}: {missing_instructions(device)} and would emulate it, up to "
            "100 times slower.\nUse --precision float32."
        )
    return choice
