"""A MkDocs hook: notebooks in docs/ become pages, with the outputs that they were saved with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

TERMINAL_CODE = re.compile(r"\x1b\[[0-9;]*m")
LINK_TO_NOTEBOOK = re.compile(r"(\]\([^)\s]*?)\.ipynb\b")


def on_config(config: MkDocsConfig) -> None:
    """Let the navigation name notebooks by their file."""
    for group in config.nav or []:
        for pages in group.values():
            for page in pages:
                for title, path in page.items():
                    page[title] = path.replace(".ipynb", ".md")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Replace each notebook by a Markdown page."""
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            files.remove(file)
            cells = json.loads(Path(file.abs_src_path or "").read_text("utf-8"))["cells"]
            page = "\n\n".join(markdown(cell) for cell in cells)
            name = file.src_uri.removesuffix(".ipynb") + ".md"
            files.append(File.generated(config, name, content=page))
    return files


def on_page_markdown(text: str, **_: Any) -> str:
    """Point links to a notebook at its page."""
    return LINK_TO_NOTEBOOK.sub(r"\1.md", text)


def markdown(cell: dict[str, Any]) -> str:
    """One cell of a notebook."""
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        return source
    parts = [f"```python\n{source}\n```"] if source else []
    return "\n\n".join([*parts, *map(output, cell.get("outputs", []))])


def output(saved: dict[str, Any]) -> str:
    """One output of a cell: a picture, or its text."""
    data = saved.get("data", {})
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            return f"![](data:{kind};base64,{''.join(data[kind]).replace(chr(10), '')})"
    text = "".join(saved.get("text") or data.get("text/plain") or saved.get("traceback") or [])
    return f"```text\n{TERMINAL_CODE.sub('', text).rstrip()}\n```" if text else ""
