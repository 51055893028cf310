"""What a device computes in at full speed, and the precision that is used on it."""

from __future__ import annotations

import platform

import torch

from frcnn_cli.engine.settings import Precision, PrecisionChoice
from frcnn_proposals.errors import MisuseError

_X86 = ("x86_64", "AMD64", "i686")


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether `device` has instructions for bfloat16, rather than emulating it.

    On a CPU oneDNN is asked, which heeds ONEDNN_MAX_CPU_ISA. It also emulates bfloat16 with
    plain AVX-512, slower than float32, so that on x86 AVX512-BF16 or AMX must be there too.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    of_onednn = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if not of_onednn or platform.machine() not in _X86:
        return of_onednn
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def missing_instructions(device: torch.device) -> str:
    """What a device without fast bfloat16 lacks, for messages."""
    if device.type == "cuda":
        return "this GPU has no bfloat16 arithmetic (it needs compute capability 8.0)"
    needed = "AVX512-BF16 or AMX" if platform.machine() in _X86 else "bfloat16 instructions"
    return f"this processor has no bfloat16 arithmetic ({needed})"


def choose_precision(choice: PrecisionChoice, device: torch.device, measured: bool) -> Precision:
    """The precision to compute in on `device`.

    measured: whether the network was measured to be as accurate and faster in bfloat16
    (`Backbone.bfloat16`); `auto` takes bfloat16 for no other, and only where it is fast.
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
