"""The workers of clusters with several kinds of nodes, and work that needs no cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from numbered_parts import Numbers, opened

from frcnn_cli.engine.parts import ray_cluster
from frcnn_cli.engine.parts.ray_cluster import pool_for, write_parts_on_ray
from frcnn_cli.engine.parts.run import write_parts
from frcnn_proposals.errors import InputError


def node(cores: int, gpus: int = 0, alive: bool = True) -> dict[str, object]:
    resources = {"CPU": float(cores)} | ({"GPU": float(gpus)} if gpus else {})
    return {"Alive": alive, "Resources": resources if alive else {}}


PROCESSORS = [node(8), node(8), node(64, alive=False)]
MIXED = [node(64), node(8, 2), node(32, 1)]


@pytest.mark.parametrize(
    ("nodes", "parts", "workers", "gpus", "expected"),
    [
        (PROCESSORS, 100, None, 0, (16, 1, 0)),
        (PROCESSORS, 100, 4, 0, (4, 4, 0)),
        (PROCESSORS, 100, 1, 0, (1, 8, 0)),  # of one node, not of the cluster
        (PROCESSORS, 3, None, None, (3, 1, 0)),
        (PROCESSORS, 100, 40, 0, (40, 1, 0)),
        (MIXED, 100, None, 0, (100, 1, 0)),
        (MIXED, 100, None, None, (3, 4, 1)),  # one per GPU
        (MIXED, 100, None, 1, (3, 4, 1)),
        (MIXED, 100, 1, 1, (1, 32, 1)),  # of the nodes with a GPU
    ],
)
def test_every_worker_fits_on_a_node(
    nodes: list[dict[str, object]],
    parts: int,
    workers: int | None,
    gpus: int | None,
    expected: tuple[int, int, int],
) -> None:
    assert pool_for(nodes, parts, workers, gpus) == expected


def test_a_cluster_without_the_gpu_that_is_needed() -> None:
    with pytest.raises(InputError, match="has a GPU"):
        pool_for(PROCESSORS, 1, None, 1)


def test_finished_work_needs_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parts(Numbers(), opened(tmp_path), "")
    monkeypatch.setattr(ray_cluster, "check_ray", lambda: None)
    monkeypatch.setattr(ray_cluster, "_cluster", lambda address: pytest.fail("it was started"))
    result = write_parts_on_ray(Numbers(), opened(tmp_path), "")
    assert (result.written, result.reused) == (0, 3)
