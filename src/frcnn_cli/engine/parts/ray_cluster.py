"""Write the missing parts of a folder by Ray Data, in worker processes of a cluster.

Each part is one task. Ray runs the task of a lost worker again, so that only its part is computed
again.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from frcnn_cli.engine.distributed.devices import usable_cores
from frcnn_cli.engine.parts.folder import Part, PartFolder
from frcnn_cli.engine.parts.result import PartsResult, errors_of, notices_of, unfinished
from frcnn_cli.engine.parts.rows import Item, PicklableRowFunction
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import Error, InputError, MisuseError, reason
from frcnn_proposals.formats.parts.row import Notice

_CAUSES = 10  # nested causes of an error
_STARTS = 3  # of a cluster on this machine: Ray gives a busy one 30 seconds
_SECONDS_TO_CONNECT = 10.0
_TRIES = 3  # of a part whose worker is lost, after the first


def check_ray() -> None:
    """Raise MisuseError if Ray Data is not installed."""
    if find_spec("ray") is None or find_spec("pyarrow") is None:
        raise MisuseError("--engine ray needs Ray Data: pip install '.[ray]'.")


def write_parts_on_ray(
    function: PicklableRowFunction,
    folder: PartFolder,
    description: str,
    address: str | None = None,
    workers: int | None = None,
    gpus: int | None = 0,
    reporter: Reporter = SILENT,
) -> PartsResult:
    """Write the parts that are missing by worker processes of a cluster.

    address: of a running cluster; None starts one on this machine and ends it. workers: number of
    processes, which share the cores of the cluster; None is one per core, or one per GPU if they
    use them. gpus: of each worker; None is one if the cluster has any. No cluster is needed if no
    part is missing.
    `function`, the images and the folder have to be readable on every machine by the same paths.
    Raises InputError if a worker is lost repeatedly, or cannot write, and if there is no GPU.
    """
    check_ray()
    with unfinished(folder, folder.parts, description, reporter) as (missing, result, advance):
        if missing:
            with _cluster(address) as nodes:
                pool = pool_for(nodes, len(missing), workers, gpus)
                for row in _written(function, folder, missing, pool):
                    counts = json.loads(row["notices"])
                    notices = {(one, more): count for (one, more), count in counts}
                    result = result.with_written(
                        int(row["images"]), json.loads(row["errors"]), notices
                    )
                    advance(int(row["images"]), "")
    return result


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


def _written(
    function: PicklableRowFunction, folder: PartFolder, parts: Sequence[Part], pool: Pool
) -> Iterator[dict[str, Any]]:
    """Write the parts, and yield the counts of each as it finishes."""
    import ray

    data = ray.data.from_items(
        [_to_row(part) for part in parts], override_num_blocks=len(parts)
    ).map(
        _Writer,
        fn_constructor_args=(function, str(folder.path.resolve()), os.getcwd(), pool.cores),
        compute=ray.data.ActorPoolStrategy(size=pool.workers, max_tasks_in_flight_per_actor=1),
        num_cpus=pool.cores,
        num_gpus=pool.gpus,
        ray_remote_args_fn=lambda: {"max_task_retries": _TRIES},
    )
    with _causes_raised():
        yield from data.iter_rows()


class _Writer:
    """A function in a worker that writes one part."""

    def __init__(
        self, function: PicklableRowFunction, folder: str, current: str, threads: int
    ) -> None:
        self._function, self._folder = function, PartFolder(Path(folder), ())
        self._threads = threads  # Ray assigns cores, but does not bind the process to them.
        # Paths, also those in messages, are those of one process.
        with suppress(OSError):
            os.chdir(current)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        items = zip(row["ids"], row["paths"], strict=True)
        part = Part(row["name"], tuple(Item(str(name), os.fsdecode(path)) for name, path in items))
        notices: Mapping[Notice, int] = {}
        if self._folder.is_finished(part):  # by a worker that was lost afterwards
            errors = self._folder.errors_in(part)
        else:
            rows = list(self._function.rows(part.items, self._threads))
            self._folder.write(part, rows)
            errors, notices = errors_of(rows), notices_of(rows)
        return {
            "images": len(part.items),
            "errors": json.dumps(errors),
            "notices": json.dumps([*notices.items()]),
        }


def _to_row(part: Part) -> dict[str, Any]:
    """The part as Ray sends it. Paths are bytes, as they may not be UTF-8."""
    return {
        "name": part.name,
        "ids": [item.name for item in part.items],
        "paths": [os.fsencode(item.image) for item in part.items],
    }


@contextmanager
def _cluster(address: str | None) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Connect to a cluster, and yield its nodes."""
    # Hides one harmless line of Ray Data about each worker; Ray's log files have them all.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray
    from ray.data import DataContext

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # Ray warns that 2.64 removes ray_remote_args_fn; setup.cfg requires an older version.
    warnings.filterwarnings("ignore", module="frcnn_cli.engine.parts.ray_cluster")
    is_own = not ray.is_initialized()
    if is_own:
        own: dict[str, Any] = (
            {
                "num_cpus": usable_cores(),
                "include_dashboard": False,
                "_node_ip_address": "127.0.0.1",
            }
            if address is None
            else {}
        )
        _connect(address, own)
    DataContext.get_current().enable_progress_bars = False
    try:
        yield ray.nodes()
    finally:
        if is_own:
            ray.shutdown()


def _connect(address: str | None, own: dict[str, Any]) -> None:
    """Connect to a cluster, or start one. Raises InputError if there is none."""
    import ray

    for left in reversed(range(_STARTS if address is None else 1)):
        try:
            _check_reachable(address)
            ray.init(address or "local", logging_level="error", log_to_driver=False, **own)
            return
        except Exception as error:  # Ray raises it as such if a process takes long to start
            ray.shutdown()
            if left == 0:
                where = "on this machine" if address is None else f"at {address}"
                raise InputError(f"No Ray cluster {where} ({reason(error)}).") from error


def _check_reachable(address: str | None) -> None:
    """Raise OSError if nothing listens at HOST:PORT, for which Ray waits for a very long time."""
    host, _, port = (address or "").removeprefix("ray://").partition(":")
    if port.isdecimal():
        socket.create_connection((host, int(port)), _SECONDS_TO_CONNECT).close()


@contextmanager
def _causes_raised() -> Iterator[None]:
    """Raise the error that a worker raised, or InputError for a worker that is lost."""
    from ray.exceptions import RayError

    try:
        yield
    except RayError as error:
        cause: BaseException | None = error
        for _ in range(_CAUSES):
            # Ray's own errors also inherit from what the worker raised.
            if isinstance(cause, Error) and not isinstance(cause, RayError):
                raise cause from None
            cause = getattr(cause, "cause", None) or getattr(cause, "__cause__", None)
        raise InputError(
            f"Ray could not finish ({reason(error)}).\n"
            "Finished parts are saved: run the same command to resume."
        ) from error
