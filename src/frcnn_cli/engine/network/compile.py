"""Feature layers compiled by torch.compile, and what to do where that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from frcnn_cli.engine.network.model import FastRCNN
from frcnn_proposals.errors import InputError

# Where torch's own errors of compiling are defined.
_COMPILERS = ("torch._dynamo", "torch._inductor")


def compile_features(model: FastRCNN) -> None:
    """Compile the model's feature layers, for images of any size, when they first run."""
    model.features.compile(dynamic=True)


@contextmanager
def compilation_explained() -> Iterator[None]:
    """Raise InputError where layers that first run in the block cannot be compiled."""
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith(_COMPILERS):
            raise
        raise InputError(
            f"The feature layers cannot be compiled ({str(error).splitlines()[0]}).\n"
            "It takes a C++ compiler (apt install g++); without one, train without --compile."
        ) from error
