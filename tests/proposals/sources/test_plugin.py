"""The source in docs/proposals.md, current and from version 0.1.0, installed and used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import scipy.io

from frcnn_proposals.store import open_store

TESTS = Path(__file__).parents[2]
PAGE = TESTS.parent / "docs" / "proposals.md"
# The plugin on the page in version 0.1.0: existing plugins must keep working if the page changes.
OLDER = TESTS / "fixtures" / "plugin"
FILES = ("pyproject.toml", "frcnn_grid.py")
# The page of version 0.1.0 reads the store, and files in any format, like this.
SHOWN = """
from frcnn_proposals.store import open_store

store = open_store("voc2007.proposals")
store["000005"].boxes  # (N, 4) float32
store.provenance

from frcnn_proposals.formats import read_proposals

boxes = read_proposals("000005_boxes.mat")["000005"].boxes
"""


def file_in_page(name: str) -> str:
    match = re.search(rf"`{re.escape(name)}`:\n\n```\w+\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert match is not None, f"{PAGE.name} has no {name}"
    return match[1]


@pytest.fixture(scope="module", params=["page", "older"])
def installed(request, tmp_path_factory):
    """The folder with an installed plugin: of the page, or of version 0.1.0."""
    pytest.importorskip("setuptools")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in FILES:
        older = request.param == "older"
        (source / name).write_text((OLDER / name).read_text() if older else file_in_page(name))
    offline = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    install = ("install", *offline, "--target", str(target), str(source))
    subprocess.run([sys.executable, "-m", "pip", *install], check=True)
    return target


@pytest.fixture
def python(installed, tmp_path):
    """Runs Python with the plugin in a child process in `tmp_path`; returns its output."""
    path = os.pathsep.join(filter(None, (str(installed), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200"}

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        out = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert out.returncode == 0, out.stderr
        return out.stdout

    return run


@pytest.fixture
def frcnn(python):
    return lambda *arguments: python("-m", "frcnn_cli.cli", *arguments)


def test_the_example_has_about_twenty_lines():
    assert len(file_in_page("frcnn_grid.py").splitlines()) <= 24


def test_an_installed_source_is_listed(frcnn):
    listed = frcnn("propose", "--list-sources")
    for part in ("grid", "frcnn-grid", "cells=4", "The cells of a grid over the image."):
        assert part in listed


def test_an_installed_source_proposes(frcnn, python, tmp_path):
    """Follows the page, including its code that reads the boxes."""
    PIL.Image.new("RGB", (40, 24)).save(tmp_path / "000005.png")
    grid = ("--source", "grid", "--param", "cells=8")
    frcnn("propose", "000005.png", *grid, "--out", "voc2007.proposals")
    store = open_store(tmp_path / "voc2007.proposals")
    assert store.provenance.source == "grid"
    assert store.provenance.parameters == {"cells": 8}
    expected = [[5 * x, 3 * y, 5 * x + 4, 3 * y + 2] for x in range(8) for y in range(8)]
    np.testing.assert_array_equal(store["000005"].boxes, expected)
    scipy.io.savemat(tmp_path / "000005_boxes.mat", {"boxes": np.array(expected[:9], float)})
    shown = SHOWN + "print(len(store['000005'].boxes), store.provenance.source, boxes.tolist())"
    assert python("-c", shown).strip() == f"64 grid {np.array(expected[:9], float).tolist()}"
