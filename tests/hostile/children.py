"""frcnn commands in child processes with limits on memory, time and file size."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from team_processes import free_port

# In addition to the memory of the program with all its libraries.
MEGABYTES = 2048
SECONDS = 120.0
# What multiprocessing prints in a worker if its parent is killed while it starts the worker. It
# comes before any code of the project.
STARTING_WORKER = re.compile(
    r"^Traceback .*\n(?: .*\n)* .*multiprocessing/spawn\.py.* in _main\n(?: .*\n){1,2}"
    r"EOFError: Ran out of input\n",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Outcome:
    """The result of a command. code: as in subprocess, negative after a signal.

    output: its results and messages. peak: resident megabytes, including the
    libraries. orphans: whether a process that it started outlived it.
    """

    code: int
    output: str
    seconds: float
    peak: float
    orphans: bool

    @property
    def has_traceback(self) -> bool:
        """Whether the project printed a traceback."""
        return "Traceback" in STARTING_WORKER.sub("", self.output)

    @property
    def message(self) -> str:
        """The output from `Error:`; empty if there is no error."""
        return self.output[self.output.find("Error: ") :] if "Error: " in self.output else ""


class Children:
    """Runs commands one after another, each in a fork of a process that has imported everything.

    environment: variables of this process and of all commands.
    """

    def __init__(self, **environment: str) -> None:
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("serve.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **environment},
        )
        assert self._response() == "ready"

    def run(
        self,
        arguments: Sequence[object],
        folder: Path,
        *,
        megabytes: int = MEGABYTES,
        seconds: float = SECONDS,
        largest_file: int | None = None,
        **environment: str,
    ) -> Outcome:
        """Run `frcnn` with these arguments in `folder`; kill it after `seconds`."""
        (outcome,) = self._run(
            arguments, folder, megabytes, seconds, largest_file, [environment], [0]
        )
        return outcome

    def run_team(
        self,
        world: int,
        arguments: Sequence[object],
        folder: Path,
        *,
        seconds: float = SECONDS,
        killed: Sequence[int] | None = None,
        largest_file: int | None = None,
        **environment: str,
    ) -> list[Outcome]:
        """Run `world` processes as torchrun does; kill those of some ranks after `seconds`.

        killed: these ranks; None for all.
        """
        shared = {
            **environment,
            "TORCHELASTIC_RUN_ID": "test",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port()),
            "WORLD_SIZE": str(world),
            "LOCAL_WORLD_SIZE": str(world),
        }
        own = [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world)]
        ranks = range(world) if killed is None else killed
        return self._run(arguments, folder, MEGABYTES, seconds, largest_file, own, ranks)

    def _run(
        self,
        arguments: Sequence[object],
        folder: Path,
        megabytes: int,
        seconds: float,
        largest_file: int | None,
        environments: Sequence[Mapping[str, str]],
        killed: Sequence[int],
    ) -> list[Outcome]:
        request = {
            "arguments": [str(argument) for argument in arguments],
            "folder": str(folder),
            "megabytes": megabytes,
            "seconds": seconds,
            "largest_file": largest_file,
            "environments": environments,
            "killed": list(killed),
        }
        assert self._server.stdin is not None
        print(json.dumps(request), file=self._server.stdin, flush=True)
        return [Outcome(**outcome) for outcome in self._response()]

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(timeout=120)

    def _response(self) -> Any:
        assert self._server.stdout is not None
        return json.loads(self._server.stdout.readline())
