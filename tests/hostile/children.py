"""frcnn commands in child processes with limits on memory, time and file size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# In addition to the memory of the program with all its libraries.
MEGABYTES = 2048
SECONDS = 120.0


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
    def message(self) -> str:
        """The output from `Error:`; empty if there is no error."""
        return self.output[self.output.find("Error: ") :] if "Error: " in self.output else ""


class Children:
    """Runs commands one after another, each in a fork of a process that has imported everything."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("serve.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
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
        request = {
            "arguments": [str(argument) for argument in arguments],
            "folder": str(folder),
            "megabytes": megabytes,
            "seconds": seconds,
            "largest_file": largest_file,
            "environment": environment,
        }
        assert self._server.stdin is not None
        print(json.dumps(request), file=self._server.stdin, flush=True)
        return Outcome(**self._response())

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(timeout=30)

    def _response(self) -> Any:
        assert self._server.stdout is not None
        return json.loads(self._server.stdout.readline())
