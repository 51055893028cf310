"""A process that has imported everything, and forks one child for each command it receives.

So every command runs in a separate process, with its own limits, without importing torch again.
Each input line is JSON: arguments, folder, megabytes in addition to the program's own, seconds,
largest file (bytes). Each output line is JSON: exit status as in subprocess, seconds, peak
megabytes, and whether a process that the command started outlived it.
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
            output, child_output = os.pipe()
            child = os.fork()
            if child == 0:
                in_child(request, child_output)
            os.close(child_output)
            response = wait_for(child, request["seconds"], output)
            os.close(output)
            print(json.dumps(response | {"orphans": orphans_of(child)}), file=responses, flush=True)


def wait_for(child: int, seconds: float, output: int) -> dict[str, Any]:
    os.set_blocking(output, False)
    started = time.monotonic()
    written = b""
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        elapsed = time.monotonic() - started
        with contextlib.suppress(BlockingIOError):
            while more := os.read(output, 1 << 16):
                written += more
        if found:
            return {
                "code": os.waitstatus_to_exitcode(status),
                "output": written.decode(errors="replace"),
                "seconds": elapsed,
                "peak": usage.ru_maxrss / 1024,
            }
        if elapsed > seconds:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)


def orphans_of(child: int) -> bool:
    """Whether processes started by the child still run 10 seconds after its end."""
    for _ in range(1000):
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
