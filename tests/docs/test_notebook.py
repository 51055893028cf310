"""The notebook of first steps: small in git, and every cell runs."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import nbformat
import PIL.Image
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "first-steps.ipynb"
# What makes the notebook's work small enough for a test.
SMALL = {
    'generate_dataset("shapes", images=160)': 'generate_dataset("shapes", 24, size=(128, 96))',
    '"shapes.proposals")\nproposals =': '"shapes.proposals", workers=0)\nproposals =',
    "scale=160": "scale=64",
    "iterations=300": "iterations=3, workers=0",
    "svd_rank=64": "svd_rank=16",
}


def read_notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]


def test_it_is_small() -> None:
    """Of its outputs only two images are stored, and nothing that changes with each run."""
    assert NOTEBOOK.stat().st_size < 300_000
    notebook = read_notebook()
    nbformat.validate(notebook)  # type: ignore[no-untyped-call]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert [set(output.data) for output in outputs] == [{"image/png"}] * 2
    for output in outputs:
        image = PIL.Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
        assert max(image.size) <= 1000
    assert {cell.execution_count for cell in cells} == {None}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = read_notebook()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for usual, small in SMALL.items():
        (cell,) = (cell for cell in code if usual in cell.source)
        cell.source = cell.source.replace(usual, small)
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "FRCNN_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    folder = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder).execute()
    assert (tmp_path / "runs" / "shapes" / "model-svd-16.safetensors").is_file()
    shown = [output for cell in code for output in cell.outputs if "data" in output]
    assert ["image/png" in output.data for output in shown] == [True, True]
    printed = "".join(
        output.text for cell in code for output in cell.outputs if output.output_type == "stream"
    )
    assert "18 images to train on" in printed
    assert "\nmAP " in printed
