"""When memory runs out: what to lower."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from frcnn_cli.engine.settings import Preprocessing, TrainSettings
from frcnn_proposals.errors import InputError, ran_out_of_memory

# What torch says of a worker that was killed.
_WORKER = "dataloader worker"


@contextmanager
def memory_explained(
    settings: TrainSettings,
    preprocessing: Preprocessing,
    images_at: Callable[[list[int]], list[str]] = lambda processes: [],
) -> Iterator[None]:
    """Raise InputError, saying what to lower, where the block runs out of memory.

    images_at: the files at which worker processes were last, by the processes' ids.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if _WORKER in text:
            raise InputError(_of_worker(text, images_at)) from error
        if not ran_out_of_memory(error):
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


def _of_worker(text: str, images_at: Callable[[list[int]], list[str]]) -> str:
    """What became of a worker process, by torch's words, which name its id and its signal."""
    named = re.search(r"pid(?:\(s\))? ([\d, ]+)", text)
    images = images_at([int(number) for number in re.findall(r"\d+", named[1])]) if named else []
    where = f"{', '.join(images[:3])}: " if images else ""
    # torch does not always see the signal; without one the kernel's is the likeliest.
    killed = "signal: killed" in text or "signal" not in text
    how = "was killed, as the kernel does when memory runs out" if killed else "has died"
    return (
        f"{where}the process that prepared this for training {how}.\n"
        "If memory ran out, lower train.workers or train.proposals; otherwise look at the "
        f"machine's log.\n(torch: {text.splitlines()[0][:200]})"
    )
