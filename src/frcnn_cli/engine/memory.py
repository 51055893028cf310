"""When memory runs out: what to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from frcnn_cli.engine.settings import Preprocessing, TrainSettings
from frcnn_proposals.errors import InputError

# What torch and OpenCV say where an allocation fails on the CPU, and a worker that was killed.
_SIGNS = ("can't allocate memory", "not enough memory", "insufficient memory")
_WORKER = "dataloader worker"


@contextmanager
def memory_explained(settings: TrainSettings, preprocessing: Preprocessing) -> Iterator[None]:
    """Raise InputError, saying what to lower, where the block runs out of memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if _WORKER in text:
            raise InputError(
                f"A process that prepares batches has died ({str(error).splitlines()[0]}).\n"
                "If memory ran out, lower train.workers or train.proposals; otherwise look at "
                "the machine's log."
            ) from error
        out = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not out and not any(sign in text for sign in _SIGNS):
            raise
        sampling = settings.sampling
        scale = max((preprocessing.scale, *sampling.scales))
        raise InputError(
            f"Memory ran out ({str(error).splitlines()[0] if str(error) else 'no reason given'}).\n"
            f"Lower --scale (now {scale}), sampling.images (now {sampling.images}), "
            f"sampling.rois_per_image (now {sampling.rois_per_image}) or --workers "
            f"(now {settings.workers}).\n"
            "A smaller backbone (`--preset lite`) needs less, too."
        ) from error
