"""Worker processes: how batches reach this one, and errors when one dies or memory runs out."""

from __future__ import annotations

import mmap
import os
import pickle
import re
import resource
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import get_worker_info

from frcnn_cli.engine.settings import Preprocessing, TrainSettings
from frcnn_proposals.errors import InputError, ran_out_of_memory, reason
from frcnn_proposals.wording import counted


class Packed(TorchDataset[bytes]):
    """Items as bytes, packed by the worker that prepared them; `unpacked` reverses it.

    Tensors travel in shared memory, as DataLoader sends them. But DataLoader does so after the
    worker's code: where shared memory or file descriptors run out, the item is lost and waited
    for without end. Here such items, and all later ones, travel through the worker's pipe.
    """

    def __init__(self, items: TorchDataset[Any], workers: int) -> None:
        self._items = items
        self._shares_memory = _free_descriptors() > workers * _DESCRIPTORS_PER_WORKER

    def __getitem__(self, index: int) -> bytes:
        item = self._items[index]
        if self._shares_memory:
            try:
                return bytes(ForkingPickler.dumps(item))
            except (OSError, RuntimeError):
                self._shares_memory = False
        return pickle.dumps(item, pickle.HIGHEST_PROTOCOL)


def unpacked(packed: bytes) -> Any:
    """The item that a worker has packed."""
    return pickle.loads(packed)  # safe: a process of this run created it


# Each tensor of a batch that waits has one in the worker and one here.
_DESCRIPTORS_PER_WORKER = 64


def _free_descriptors() -> int:
    """The number of files that this process can still open."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    folder = Path("/proc/self/fd")
    return limit - (len(list(folder.iterdir())) if folder.is_dir() else 0)


class WorkerImages:
    """The image that each of `workers` forked processes prepares, in shared memory."""

    def __init__(self, workers: int) -> None:
        # Without a file: the system may have little room for shared memory that has a name.
        memory = mmap.mmap(-1, max(1, workers) * 2 * 8)
        self._rows = torch.frombuffer(memory, dtype=torch.int64).view(-1, 2)
        self._rows.fill_(-1)  # process id, index of the image

    def note(self, image: int) -> None:
        """Record that this worker prepares `image`, an index into the dataset."""
        worker = get_worker_info()
        if worker is not None and worker.id < len(self._rows):
            self._rows[worker.id, 0] = os.getpid()
            self._rows[worker.id, 1] = image

    def last_of(self, processes: Iterable[int]) -> list[int]:
        """The indices of the images that the processes with these ids prepared last."""
        rows: dict[int, int] = dict(self._rows.tolist())
        return [rows[process] for process in processes if process in rows]


@contextmanager
def start_explained(workers: int) -> Iterator[None]:
    """Raise InputError where the block cannot start worker processes."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{counted(workers, 'process', 'processes')} that prepare batches cannot start "
            f"({reason(error)}).\n"
            "Use fewer workers (--workers, 0 for none), raise `ulimit -n` or `ulimit -u`, or start "
            "the container\nwith a larger --shm-size."
        ) from error


# Part of torch's message about a killed worker.
_WORKER = "dataloader worker"


@contextmanager
def memory_explained(
    settings: TrainSettings,
    preprocessing: Preprocessing,
    images_at: Callable[[list[int]], list[str]] = lambda processes: [],
) -> Iterator[None]:
    """Raise InputError, saying what to lower, if the block runs out of memory.

    images_at: returns the files that the worker processes with these ids prepared last.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        raised_by_worker = text.startswith("caught ")
        if _WORKER in text and not raised_by_worker:
            raise InputError(_worker_message(text, images_at)) from error
        if not ran_out_of_memory(error):
            raise
        sampling = settings.sampling
        scale = max((preprocessing.scale, *sampling.scales))
        rois = f"sampling.rois_per_image (now {sampling.rois_per_image})"
        if settings.is_weak:
            rois = f"train.proposals (now {settings.proposals})"
        raise InputError(
            f"Memory ran out ({_memory_reason(error, raised_by_worker)}).\n"
            f"Lower --scale (now {scale}), sampling.images (now {sampling.images}), "
            f"{rois} or --workers (now {settings.workers}).\n"
            "A smaller backbone (`--preset lite`) also needs less memory."
        ) from error


def _memory_reason(error: Exception, raised_by_worker: bool) -> str:
    """The reason in one line. An error of a worker process contains the worker's traceback."""
    lines = str(error).strip().splitlines() or ["no reason given"]
    return lines[-1].removeprefix("MemoryError: ") if raised_by_worker else lines[0]


def _worker_message(text: str, images_at: Callable[[list[int]], list[str]]) -> str:
    """A message about a dead worker, from torch's message with its process id and signal."""
    named = re.search(r"pid(?:\(s\))? ([\d, ]+)", text)
    images = images_at([int(number) for number in re.findall(r"\d+", named[1])]) if named else []
    where = f"{', '.join(images[:3])}: " if images else ""
    if "bus error" in text:
        return (
            f"{where}the worker process that prepared this image found no room in /dev/shm.\n"
            "Use fewer workers (--workers), or start the container with a larger --shm-size.\n"
            f"(torch: {text.splitlines()[0][:200]})"
        )
    # torch does not always see the signal; without one the kernel's is the likeliest.
    killed = "signal: killed" in text or "signal" not in text
    how = "was killed, probably by the kernel for lack of memory" if killed else "has died"
    return (
        f"{where}the worker process that prepared this image {how}.\n"
        "If memory ran out, lower train.workers or train.proposals; otherwise check the system "
        f"log.\n(torch: {text.splitlines()[0][:200]})"
    )
