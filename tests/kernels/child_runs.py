"""Child processes for tests of settings that are read once per process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_child(code: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run Python code that can import the test modules, with changed environment variables."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **changes}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
