"""Errors for a dead worker process or exhausted memory: they name the image and what to lower."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.utils.data import get_worker_info

from frcnn_cli.engine.settings import Preprocessing, TrainSettings
from frcnn_proposals.errors import InputError, ran_out_of_memory, reason


class WorkerImages:
    """The image that each of `workers` processes prepares, in shared memory."""

    def __init__(self, workers: int) -> None:
        self._rows = torch.full((workers, 2), -1)  # process id, index of the image
        self._rows.share_memory_()  # type: ignore[no-untyped-call]

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


# Part of torch's message about a killed worker.
_WORKER = "dataloader worker"


@contextmanager
def memory_names(path: Path) -> Iterator[None]:
    """If the block runs out of memory, raise MemoryError with the path in its message."""
    try:
        yield
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        raise MemoryError(f"{path}: {reason(error)}") from error


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
        raise InputError(
            f"Memory ran out ({_memory_reason(error, raised_by_worker)}).\n"
            f"Lower --scale (now {scale}), sampling.images (now {sampling.images}), "
            f"sampling.rois_per_image (now {sampling.rois_per_image}) or --workers "
            f"(now {settings.workers}).\n"
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
    # torch does not always report the signal; without one, a kill by the kernel is most likely.
    killed = "signal: killed" in text or "signal" not in text
    how = "was killed, probably by the kernel for lack of memory" if killed else "has died"
    return (
        f"{where}the worker process that prepared this image {how}.\n"
        "If memory ran out, lower train.workers or train.proposals; otherwise check the system "
        f"log.\n(torch: {text.splitlines()[0][:200]})"
    )
