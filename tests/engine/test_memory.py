"""What is said when memory runs out."""

from collections.abc import Callable

import pytest
import torch

from frcnn_cli.engine.memory import memory_explained
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import Preprocessing, TrainSettings
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError

MakeProposals = Callable[[Dataset], dict[str, Proposals]]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
)
def test_out_of_memory_says_what_to_lower(error: Exception) -> None:
    with (
        pytest.raises(InputError, match=r"(?s)Lower --scale \(now 600\).*sampling\.images.*2\)"),
        memory_explained(TrainSettings(), Preprocessing()),
    ):
        raise error


def test_a_real_allocation_that_fails_is_explained() -> None:
    with (
        pytest.raises(InputError, match="Memory ran out"),
        memory_explained(TrainSettings(), Preprocessing()),
    ):
        torch.empty(2**60)


def test_other_errors_stay_as_they_are() -> None:
    with (
        pytest.raises(RuntimeError, match="shape"),
        memory_explained(TrainSettings(), Preprocessing()),
    ):
        raise RuntimeError("shape mismatch")
