"""Compile feature layers with torch.compile, and explain failures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from frcnn_cli.engine.network.model import FastRCNN
from frcnn_proposals.errors import InputError

# Modules that define torch's compilation errors.
_COMPILERS = ("torch._dynamo", "torch._inductor")


def compile_features(model: FastRCNN) -> None:
    """Compile the feature layers for images of any size; compilation happens at their first run."""
    model.features.compile(dynamic=True)


@contextmanager
def compilation_explained() -> Iterator[None]:
    """Raise InputError if layers that first run within the block cannot be compiled."""
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith(_COMPILERS):
            raise
        raise InputError(
            f"The feature layers cannot be compiled ({str(error).splitlines()[0]}).\n"
            "Install a C++ compiler (apt install g++), or train without --compile."
        ) from error
