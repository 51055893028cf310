"""The package `frcnn`: its names, what loading them costs, and its agreement with the commands."""

from __future__ import annotations

import ast
import inspect
import os
import pickle
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import frcnn
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals import errors

HEAVY = {"torch", "torchvision", "cv2", "scipy", "matplotlib", "rich", "click"}


def modules_after(code: str) -> set[str]:
    """The modules that a new process has loaded after `code`."""
    child = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(child.stdout.split())


def test_importing_takes_nothing() -> None:
    code = "import frcnn; dir(frcnn); frcnn.__version__; frcnn.__all__"
    assert not modules_after(code) & (HEAVY | {"numpy", "PIL"})


@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_sleep_as_in_the_commands(before: str | None, after: str) -> None:
    environment = {n: v for n, v in os.environ.items() if n != "OMP_WAIT_POLICY"}
    if before is not None:
        environment["OMP_WAIT_POLICY"] = before
    code = "import frcnn, os; print(os.environ['OMP_WAIT_POLICY'])"
    child = [sys.executable, "-c", code]
    assert subprocess.check_output(child, env=environment, text=True) == after + "\n"


@pytest.mark.parametrize(
    "code",
    [
        "import frcnn; [getattr(frcnn, n) for n in dir(frcnn) if n[0].islower()]",
        "from frcnn import Detector, Detections, Error",
        "import frcnn\ntry: frcnn.Detector.load('nowhere')\nexcept frcnn.Error: pass",
        "import frcnn\ntry: frcnn.compress('nowhere', svd_rank=3)\nexcept frcnn.Error: pass",
        "import frcnn\ntry: frcnn.evaluate('nowhere')\nexcept frcnn.Error: pass",
        "import frcnn\ntry: frcnn.train('nowhere')\nexcept frcnn.Error: pass",
    ],
)
def test_names_and_mistakes_take_no_torch(code: str) -> None:
    assert not modules_after(code) & HEAVY


def test_every_name_is_there_for_programs_and_editors() -> None:
    tree = ast.parse(Path(frcnn.__file__).read_text(encoding="utf-8"))
    typed = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == frcnn._MODULE_OF
    assert {*typed, "__version__"} == set(frcnn.__all__) == set(dir(frcnn))
    for name in frcnn.__all__:
        value = getattr(frcnn, name)
        assert name == "__version__" or value.__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'detektor'"):
        _ = frcnn.detektor


def test_star_import_and_typing_marker() -> None:
    names: dict[str, object] = {}
    exec("from frcnn import *", names)
    assert set(frcnn.__all__) <= set(names)
    assert (Path(frcnn.__file__).parent / "py.typed").is_file()


def test_errors_are_one_family() -> None:
    assert issubclass(frcnn.InputError, frcnn.Error)
    assert issubclass(frcnn.MisuseError, frcnn.InputError)
    assert frcnn.Error is errors.Error
    assert str(pickle.loads(pickle.dumps(frcnn.MisuseError("a")))) == "a"


@pytest.mark.parametrize("function", [frcnn.Detector.load, frcnn.evaluate])
def test_settings_have_the_names_and_defaults_of_the_commands(function: object) -> None:
    keywords = inspect.signature(function).parameters
    for field in fields(DetectionOptions):
        if function is frcnn.evaluate and field.name in ("score_threshold", "tile", "overlap"):
            continue  # An evaluation needs every detection, and detects in whole images.
        assert keywords[field.name].default == field.default
