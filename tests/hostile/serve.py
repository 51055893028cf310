"""A process that has imported everything, and forks the processes of each command it receives.

So every command runs in processes of its own, with their own limits, without importing torch again.
Each input line is JSON: arguments, folder, megabytes in addition to the program's own, seconds,
largest file (bytes), the environment of each process, and the processes that are killed after these
seconds. Each output line is JSON, a list with an object per process: exit status as in subprocess,
seconds, peak megabytes, and whether a process that it started outlived it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import resource
import signal
import sys
import time
import traceback
from typing import Any, NoReturn

_LATE = "scipy.io h5py yaml cv2 torch safetensors.torch PIL.Image onnxruntime google.protobuf"


def import_everything() -> None:
    import frcnn_cli.cli
    import frcnn_cli.commands
    import frcnn_proposals

    for package in (frcnn_cli.commands, frcnn_proposals):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)
    for name in _LATE.split():
        importlib.import_module(name)


def main() -> None:
    import_everything()
    with os.fdopen(os.dup(1), "w") as responses:
        print(json.dumps("ready"), file=responses, flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            processes = [start(request, own) for own in request["environments"]]
            wait_for(processes, request["seconds"], request["killed"])
            outcomes = [process.outcome() for process in processes]
            print(json.dumps(outcomes), file=responses, flush=True)


class Process:
    """A forked child: its exit status once it has ended, and what it has written."""

    def __init__(self, child: int, output: int) -> None:
        self.child = child
        self.code: int | None = None
        self._output, self._written = output, b""
        self._started = time.monotonic()
        os.set_blocking(output, False)

    def poll(self) -> int | None:
        """Read what it has written; return its exit status if it has ended."""
        if self.code is None:
            found, status, usage = os.wait4(self.child, os.WNOHANG)
            with contextlib.suppress(BlockingIOError):
                while more := os.read(self._output, 1 << 16):
                    self._written += more
            if found:
                self.code = os.waitstatus_to_exitcode(status)
                self._seconds = time.monotonic() - self._started
                self._peak = usage.ru_maxrss / 1024
        return self.code

    def send(self, number: signal.Signals) -> None:
        if self.code is None:
            os.kill(self.child, number)

    def outcome(self) -> dict[str, Any]:
        os.close(self._output)
        return {
            "code": self.code,
            "output": self._written.decode(errors="replace"),
            "seconds": self._seconds,
            "peak": self._peak,
            "orphans": orphans_of(self.child),
        }


def start(request: dict[str, Any], environment: dict[str, str]) -> Process:
    output, child_output = os.pipe()
    child = os.fork()
    if child == 0:
        in_child(request | {"environment": environment}, child_output)
    os.close(child_output)
    return Process(child, output)


def wait_for(processes: list[Process], seconds: float, killed: list[int]) -> None:
    """Wait until all have ended. After one has failed, the others are stopped as by torchrun."""
    started, failed = time.monotonic(), None
    while sum(process.poll() is None for process in processes):
        now = time.monotonic()
        if now > started + seconds:
            for rank in killed:
                processes[rank].send(signal.SIGKILL)
        if failed is None and any(process.code for process in processes):
            failed = now
            time.sleep(0.1)  # the agent of torchrun looks at them ten times per second
            for process in processes:
                process.send(signal.SIGTERM)
        elif failed is not None and now > failed + 30:
            for process in processes:
                process.send(signal.SIGKILL)
        time.sleep(0.002)


def orphans_of(child: int) -> bool:
    """Whether processes started by the child still run 60 seconds after its end.

    A worker notices the end of its parent once it has imported its libraries.
    """
    for _ in range(6000):
        try:
            os.killpg(child, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    return True


def in_child(request: dict[str, Any], output: int) -> NoReturn:
    code = 70
    try:
        code = run(request, output)
    finally:
        os._exit(code)


def run(request: dict[str, Any], output: int) -> int:
    """Run `frcnn` as requested, with stdout and stderr to `output`; return its exit code."""
    os.setpgid(0, 0)
    os.chdir(request["folder"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    sys.stdin = open(0)  # noqa: SIM115
    limit(resource.RLIMIT_AS, address_space() + (request["megabytes"] << 20))
    limit(resource.RLIMIT_CORE, 0)
    if request["largest_file"] is not None:
        limit(resource.RLIMIT_FSIZE, request["largest_file"])
    os.environ.update(request["environment"])
    sys.argv = ["frcnn", *request["arguments"]]
    from frcnn_cli.cli import main

    try:
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def limit(kind: int, value: int) -> None:
    resource.setrlimit(kind, (value, value))


def address_space() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main()
