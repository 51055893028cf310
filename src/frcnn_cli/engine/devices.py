"""Where the network runs."""

from __future__ import annotations

import torch

from frcnn_proposals.errors import MisuseError


def find_device(name: str) -> torch.device:
    """`auto` is a GPU where there is one, else the CPU; other names are torch's.

    Raises MisuseError for a device that is not there.
    """
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
