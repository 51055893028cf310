"""How many workers a Ray cluster gets, and the cores and GPUs of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from frcnn_proposals.errors import InputError


class Pool(NamedTuple):
    """The number of workers, and the cores and GPUs of each."""

    workers: int
    cores: int
    gpus: int


def pool_for(
    nodes: Sequence[Mapping[str, Any]], parts: int, workers: int | None, gpus: int | None
) -> Pool:
    """The workers for this number of parts.

    nodes: of the cluster, as ray.nodes() describes them. workers: how many; None is one per core,
    or one per GPU if they use them. gpus: of each worker, 0 or 1; None is 1 if there are any. A
    worker fits on one node, since Ray waits forever for another one. Raises InputError if no node
    has a GPU that is needed.
    """
    sizes = [
        (int(node["Resources"].get("CPU", 0)), int(node["Resources"].get("GPU", 0)))
        for node in nodes
        if node["Alive"]
    ]
    if gpus is None:
        gpus = int(any(of_node for _, of_node in sizes))
    if gpus:
        sizes = [(cores, of_node) for cores, of_node in sizes if of_node]
        if not sizes:
            raise InputError("No node of the Ray cluster has a GPU. Use --device cpu.")
        most, share = sum(gpu for _, gpu in sizes), min(cores // gpu for cores, gpu in sizes)
    else:
        most, share = sum(cores for cores, _ in sizes), 1
    if workers is not None:
        all_cores = [cores for cores, _ in sizes]
        share = min(sum(all_cores) // workers, max(all_cores, default=1))
    return Pool(min(workers or max(1, most), parts), max(1, share), gpus)
