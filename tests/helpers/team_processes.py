"""Processes that work together, started by torchrun, or without its agent so that tests kill them.

They log each image that they compute, and compute a few of them per second.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

# `propose` computes in the process itself, without workers, so that its images can be logged. DIES
# is the rank that is killed at its third image, unless torchrun has restarted it.
PROGRAM = """
import os, signal, sys, time
import frcnn
from frcnn_cli.cli import main
from frcnn_cli.engine.proposals.run import _Propose

dies = (os.environ.get("DIES"), "0") == tuple(
    os.environ.get(name) for name in ("RANK", "TORCHELASTIC_RESTART_COUNT"))
done = []

def log_calls(owner, name, image_id):
    original = getattr(owner, name)

    def logged(self, *arguments):
        result = original(self, *arguments)
        with open(os.environ["COMPUTED"], "a") as log:
            log.write(image_id(*arguments) + "\\n")
        done.append(image_id(*arguments))
        if dies and len(done) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(os.environ["SECONDS"]))
        return result

    setattr(owner, name, logged)

if sys.argv[1] == "propose":
    log_calls(_Propose, "__call__", lambda image: image[0])
    frcnn.propose(sys.argv[2], sys.argv[3], source="dense", workers=0)
else:
    from frcnn_cli.engine.detection.features.rows import FeatureJournal
    from frcnn_cli.engine.detection.journal import Journal

    for journal in (Journal, FeatureJournal):
        log_calls(journal, "add", lambda image_id, *others: image_id)
    main()
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def torchrun(processes: int, *more: str) -> list[str]:
    """The first words of a command that torchrun starts."""
    return [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes),
        "--master-addr", "127.0.0.1", "--master-port", str(free_port()), *more,
    ]  # fmt: skip


@dataclass(frozen=True)
class Team:
    """Processes by rank, and the file with the ids of the images that they computed."""

    processes: tuple[subprocess.Popen[str], ...]
    log: Path

    def computed(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    def kill(self, ranks: tuple[int, ...], images: int) -> None:
        """Kill the processes once the team has computed this many images, and await the others."""
        deadline = time.monotonic() + 300
        while len(self.computed()) < images:
            assert all(process.poll() is None for process in self.processes), self.output()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for rank in ranks:
            self.processes[rank].send_signal(signal.SIGKILL)
        self.output()

    def output(self) -> str:
        """What all processes print until they end, in one line."""
        try:
            printed = [process.communicate(timeout=300)[0] for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()  # after a failure
        return " ".join("".join(printed).split())

    def finish(self) -> str:
        output = self.output()
        assert not any(process.returncode for process in self.processes), output
        return output


def start_team(
    world: int, folder: Path, *arguments: object, seconds: float = 0.0, most: int | None = None
) -> Team:
    """Start `world` processes of a command in `folder`.

    seconds: the pause after each image. most: size of a file at which the disk is full.
    """
    port = free_port()
    log = folder / f"computed-{port}-{time.monotonic_ns()}"
    shared = {
        **os.environ, "OMP_NUM_THREADS": "1", "COMPUTED": str(log), "SECONDS": str(seconds),
        "TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "WORLD_SIZE": str(world),
    }  # fmt: skip

    def limit() -> None:
        if most is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, arguments)],
            cwd=folder, env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=limit,
        )
        for rank in range(world)
    ]  # fmt: skip
    return Team(tuple(processes), log)
