"""The machine that a report was made on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch


def machine_facts(device: torch.device) -> dict[str, str]:
    """Processor, memory, system and versions, as words for people."""
    threads = torch.get_num_threads()
    facts = {
        "Processor": f"{_processor()}, {threads} thread{'s' if threads > 1 else ''}",
        "Memory": _memory(),
        "System": f"{platform.system()} {platform.release()}",
        "Python, torch": f"{platform.python_version()}, {torch.__version__}",
    }
    if device.type == "cuda":
        facts["GPU"] = torch.cuda.get_device_name(device)
    return facts


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return "unknown"
    return f"{size / 2**30:.0f} GiB"
