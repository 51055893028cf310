"""Start `frcnn`: its entry point, and `python -m frcnn_cli`, which is how torchrun starts it."""

from __future__ import annotations

import atexit
import os
from typing import Any, NoReturn

from frcnn_cli.engine.distributed.signals import (
    INTERRUPTED,
    handle_stop_signals,
    ignore_stop_signals,
    print_interrupted,
)


def main() -> None:
    """Run the command line. Stop signals end the process also while its modules are imported."""
    handle_stop_signals(_leave)
    # While Python ends, it resets its signal handlers, and a late signal would change the exit code
    # of finished work. Ignored signals stay ignored. The function registered first runs last.
    atexit.register(ignore_stop_signals)
    from frcnn_cli.cli import main as run

    run()


def _leave(*_: Any) -> NoReturn:
    """End the process: nothing has been started or written yet."""
    print_interrupted()
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
