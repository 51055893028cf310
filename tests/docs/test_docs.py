"""What the documentation shows is run."""

from __future__ import annotations

import re
from pathlib import Path

import PIL.Image
import pytest

import frcnn
from frcnn_cli.cli import COMMANDS

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"


# What makes the page's work small enough for a test.
SMALL = {
    'generate_dataset("shapes", images=400)': 'generate_dataset("shapes", 16, size=(128, 96))',
    '"shapes.proposals")\n': '"shapes.proposals", workers=0)\n',
    "scale=240": "scale=64",
    "iterations=600": "iterations=3, workers=0",
    "svd_rank=256": "svd_rank=16",
}


def test_the_python_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All snippets in one program; the first one needs the model that the second one trains."""
    monkeypatch.chdir(tmp_path)
    shown: list[PIL.Image.Image] = []
    monkeypatch.setattr(PIL.Image.Image, "show", lambda picture: shown.append(picture))
    text = (DOCS / "python.md").read_text()
    first, workflow, *others = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(others) >= 6
    for usual, small in SMALL.items():
        assert usual in workflow
        workflow = workflow.replace(usual, small, 1)
    names: dict[str, object] = {}
    run(first.splitlines()[0], names)
    run(workflow, names)
    (tmp_path / "street.jpg").write_bytes((tmp_path / "shapes/JPEGImages/000001.jpg").read_bytes())
    for snippet in (first, *others):
        run(snippet, names)
    assert [picture.size for picture in shown] == [(128, 96)]
    assert (tmp_path / "runs" / "shapes" / "model-svd-16.safetensors").is_file()
    assert len(list((tmp_path / "annotated").iterdir())) == 9


def run(snippet: str, names: dict[str, object]) -> None:
    exec(compile(snippet, "docs/python.md", "exec"), names)


def test_the_python_page_names_all() -> None:
    """Every function and every method of detectors and detections."""
    text = (DOCS / "python.md").read_text()
    members = {**vars(frcnn.Detector), **vars(frcnn.Detections)}
    fields = {*frcnn.Detector.__dataclass_fields__}
    public = [name for name in members if not name.startswith("_") and name not in fields]
    functions = [name for name in frcnn.__all__ if name.islower() and name[0] != "_"]
    missing = [name for name in (*functions, *public) if not re.search(rf"\b{name}\b", text)]
    assert missing == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_shows_every_command(command: str) -> None:
    assert re.search(rf"frcnn {command}\b", (REPOSITORY / "README.md").read_text())
