"""The error messages when memory runs out."""

import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import new_model, settings
from torch.utils.data import get_worker_info

from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import Preprocessing, TrainSettings
from frcnn_cli.engine.training.loop import train
from frcnn_cli.engine.training.run import Run
from frcnn_cli.engine.training.workers import memory_explained
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


def test_other_errors_are_not_changed() -> None:
    with (
        pytest.raises(RuntimeError, match="shape"),
        memory_explained(TrainSettings(), Preprocessing()),
    ):
        raise RuntimeError("shape mismatch")


class KillingProposals(dict[str, Proposals]):
    """Proposals of which one kills its reader, as the kernel does when memory runs out."""

    def __getitem__(self, image_id: str) -> Proposals:
        if image_id == self.fatal and get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(image_id)

    fatal = ""


def test_the_message_about_a_killed_worker_names_its_image(
    tiny_dataset: Dataset, grid_proposals: MakeProposals, run_folder: Path
) -> None:
    proposals = KillingProposals(grid_proposals(tiny_dataset))
    proposals.fatal = tiny_dataset.images[4].image_id
    run = Run(run_folder, tiny_dataset, proposals, replace(settings(20, 50), workers=1))
    path = re.escape(str(tiny_dataset.images[4].path))
    with pytest.raises(InputError, match=rf"{path}.* was killed, probably by the kernel"):
        train(new_model(tiny_dataset), run)


class LargeProposals(dict[str, Proposals]):
    """Proposals of which one does not fit into memory."""

    large = ""
    in_worker = False

    def __getitem__(self, image_id: str) -> Proposals:
        if image_id == self.large and self.in_worker == (get_worker_info() is not None):
            raise MemoryError("Unable to allocate 38.0 GiB")
        return super().__getitem__(image_id)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_message_about_memory_names_the_image(
    workers: int, tiny_dataset: Dataset, grid_proposals: MakeProposals, run_folder: Path
) -> None:
    proposals = LargeProposals(grid_proposals(tiny_dataset))
    run = Run(run_folder, tiny_dataset, proposals, replace(settings(20, 50), workers=workers))
    model = new_model(tiny_dataset)
    proposals.in_worker = workers > 0
    proposals.large = tiny_dataset.images[4].image_id
    path = re.escape(str(tiny_dataset.images[4].path))
    with pytest.raises(InputError, match=rf"Memory ran out \({path}: Unable to allocate 38.0 GiB"):
        train(model, run)
