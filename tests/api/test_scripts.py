"""Scripts as users write them: without a guard for their main part, or with their own source."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PLAIN = """
import frcnn
print("started", __name__)
made = frcnn.propose("shapes", OUT, source="dense", workers=2)
print(made.computed, made.failures)
"""
OWN_SOURCE = """
import numpy as np
import frcnn

class Whole:
    name, version, parameters = "whole", "1", {}

    def propose(self, image):
        height, width = image.shape[:2]
        return frcnn.Proposals(np.array([[0, 0, width - 1, height - 1]]))

if __name__ == "__main__":
    made = frcnn.propose("shapes", OUT, source=Whole(), workers=2)
    print(made.computed, made.failures)
    print(len(frcnn.read_proposals(OUT)["000001"]))
"""


@pytest.mark.parametrize(
    ("script", "printed"),
    [(PLAIN, "started __main__\n12 ()\n"), (OWN_SOURCE, "12 ()\n1\n")],
    ids=["plain", "own source"],
)
@pytest.mark.parametrize("started_as", ["file", "module"])
def test_workers_do_not_run_the_script_again(
    script: str, printed: str, started_as: str, at_home: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.proposals"
    (tmp_path / "script.py").write_text(script.replace("OUT", repr(str(out))))
    how = [tmp_path / "script.py"]
    if started_as == "module":
        run = "import runpy, sys; sys.path.insert(0, sys.argv[1]); "
        how = ["-c", run + "runpy._run_module_as_main('script')", tmp_path]
    child = subprocess.run([sys.executable, *how], capture_output=True, text=True, timeout=300)
    assert (child.stdout, child.stderr) == (printed, "")
