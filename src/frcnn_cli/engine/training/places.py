"""Which image each worker process is at, so that one that is killed can be told by its image."""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch.utils.data import get_worker_info


class Places:
    """A row for each of `workers` processes, its id and the image it is at, which all can see."""

    def __init__(self, workers: int) -> None:
        self._rows = torch.full((workers, 2), -1)
        self._rows.share_memory_()  # type: ignore[no-untyped-call]

    def note(self, image: int) -> None:
        """This process is now at `image`, a place in the data set; nothing outside a worker."""
        worker = get_worker_info()
        if worker is not None and worker.id < len(self._rows):
            self._rows[worker.id, 0] = os.getpid()
            self._rows[worker.id, 1] = image

    def of(self, processes: Iterable[int]) -> list[int]:
        """The images at which these processes were last."""
        rows: dict[int, int] = dict(self._rows.tolist())
        return [rows[each] for each in processes if each in rows]
