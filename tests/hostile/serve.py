"""A process that has imported everything, and forks one child for each command it is sent.

So every command runs in a process of its own, with its own limits, without importing torch anew.
A line of JSON in: arguments, folder, megabytes above what the program itself takes, seconds,
largest file (bytes). A line out: the exit status as subprocess has it, seconds, peak megabytes,
and whether a process that the command had started outlived it.
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
    with os.fdopen(os.dup(1), "w") as answers:
        print(json.dumps("ready"), file=answers, flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            output, theirs = os.pipe()
            child = os.fork()
            if child == 0:
                in_child(asked, theirs)
            os.close(theirs)
            answer = waited_for(child, asked["seconds"], output)
            os.close(output)
            print(json.dumps(answer | {"orphans": orphans_of(child)}), file=answers, flush=True)


def waited_for(child: int, seconds: float, output: int) -> dict[str, Any]:
    os.set_blocking(output, False)
    started = time.monotonic()
    said = b""
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        taken = time.monotonic() - started
        with contextlib.suppress(BlockingIOError):
            while more := os.read(output, 1 << 16):
                said += more
        if found:
            return {
                "code": os.waitstatus_to_exitcode(status),
                "output": said.decode(errors="replace"),
                "seconds": taken,
                "peak": usage.ru_maxrss / 1024,
            }
        if taken > seconds:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)


def orphans_of(child: int) -> bool:
    """Whether processes that the child had started still run a while after its end."""
    for _ in range(1000):
        try:
            os.killpg(child, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    return True


def in_child(asked: dict[str, Any], output: int) -> NoReturn:
    code = 70
    try:
        code = run(asked, output)
    finally:
        os._exit(code)


def run(asked: dict[str, Any], output: int) -> int:
    """What `frcnn` does with these arguments, and its exit code; `output` is where it prints."""
    os.setpgid(0, 0)
    os.chdir(asked["folder"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, theirs in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(ours, theirs)
    sys.stdin = open(0)  # noqa: SIM115
    limit(resource.RLIMIT_AS, address_space() + (asked["megabytes"] << 20))
    limit(resource.RLIMIT_CORE, 0)
    if asked["largest_file"] is not None:
        limit(resource.RLIMIT_FSIZE, asked["largest_file"])
    os.environ.update(asked["environment"])
    sys.argv = ["frcnn", *asked["arguments"]]
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
