"""The source in docs/proposals.md, installed as a user would, and used by the command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from frcnn_proposals.store.reader import open_store

PAGE = Path(__file__).parents[3] / "docs" / "proposals.md"


def file_in_page(name: str) -> str:
    match = re.search(rf"`{re.escape(name)}`:\n\n```\w+\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert match is not None, f"{PAGE.name} has no {name}"
    return match[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that the example was installed to."""
    pytest.importorskip("setuptools")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in ("pyproject.toml", "frcnn_grid.py"):
        (source / name).write_text(file_in_page(name))
    offline = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    install = ("install", *offline, "--target", str(target), str(source))
    subprocess.run([sys.executable, "-m", "pip", *install], check=True)
    return target


@pytest.fixture
def frcnn(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "200"}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "frcnn_cli.cli", *arguments]
        out = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert out.returncode == 0, out.stderr
        return out.stdout

    return run


def test_the_example_has_about_twenty_lines():
    assert len(file_in_page("frcnn_grid.py").splitlines()) <= 24


def test_an_installed_source_is_listed(frcnn):
    listed = frcnn("propose", "--list-sources")
    for part in ("grid", "frcnn-grid", "cells=4", "The cells of a grid over the image."):
        assert part in listed


def test_an_installed_source_proposes(frcnn, tmp_path):
    PIL.Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    frcnn("propose", "a.png", "--source", "grid", "--param", "cells=2", "--out", "out")
    store = open_store(tmp_path / "out")
    assert store.provenance.source == "grid"
    assert store.provenance.parameters == {"cells": 2}
    expected = [[0, 0, 19, 9], [0, 10, 19, 19], [20, 0, 39, 9], [20, 10, 39, 19]]
    np.testing.assert_array_equal(store["a"].boxes, expected)
