"""The floors of the house: imports go down, never up, and nowhere in a circle.

Read from the source, so that an import inside a function counts too.
"""

from __future__ import annotations

import ast
import configparser
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from frcnn_cli.cli import COMMANDS

REPOSITORY = Path(__file__).resolve().parent.parent
ROOTS = {
    "frcnn_kernels": REPOSITORY / "kernels",
    "frcnn_proposals": REPOSITORY / "proposals",
    "frcnn_cli": REPOSITORY / "src",
}
ENGINE = "frcnn_cli.engine"
# The first prefix that fits decides. A module of the engine that is not named here fails.
FLOORS = [
    ("frcnn_kernels", 0),
    ("frcnn_proposals", 1),
    *(
        (f"{ENGINE}.{name}", floor)
        for floor, names in {
            2: "records settings boxes seeds devices stopping layers.depthwise layers.dropout "
            "training.kept distributed attempt_store training.stopwatch layers.planar_conv",
            3: "joining datasets transforms sampling losses checkpoint evaluation "
            "training.image_order training.images training.places training.minibatches "
            "layers.low_rank "
            "training.linear_svm training.hard_negatives draw results proposing "
            "training.metrics memory saved.older_models downloads",
            4: "backbones model saved.models training.state saved.runs training.stages "
            "layer_costs model_info presets saved.origins saved.initial_model "
            "saved.trained_on compression.svd compression.ranks compression.compress",
            5: "compiled detect detecting.files detecting timing.stage_clock",
            6: "train train_step training.svm training.validation training.run training.best "
            "timing.samples benchmarks proposal_sweep timing.stage_times compression report "
            "training.loss_figure training.tensorboard saved.run_list exchange doctor",
        }.items()
        for name in names.split()
    ),
    ("frcnn_cli.commands", 7),
    ("frcnn_cli.cli", 8),
    ("frcnn_cli.reference", 8),
    ("frcnn_cli.__main__", 8),
]


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path, root): path
    for package, root in ROOTS.items()
    for path in sorted((root / package).rglob("*.py"))
}
# Parts of the engine that read other parts of their own floor, and which.
BESIDE = {
    "settings": "boxes",
    "datasets": "downloads",
    "downloads": "datasets",
    "evaluation": "datasets",
    "proposing": "datasets draw",
    "saved": "backbones checkpoint model training",
    "training": "backbones model report sampling saved transforms",
    "compression": "model timing",
    "layer_costs": "model",
    "model": "backbones",
    "model_info": "backbones layer_costs saved",
    "presets": "backbones",
    "detect": "detecting",
    "detecting": "detect",
    "benchmarks": "compression timing train_step training",
    "report": "timing",
    "train": "train_step training",
}
# Packages whose __init__ is only a name on a folder.
PLAIN = {"frcnn_cli", "frcnn_cli.engine"}


def imports_of(module: str) -> set[str]:
    """The project's modules that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(SOURCES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import in line {node.lineno}"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in SOURCES else str(node.module))
    return {name for name in found if name in SOURCES and name != module}


def floor_of(module: str) -> int:
    for prefix, floor in FLOORS:
        if module == prefix or module.startswith(prefix + "."):
            return floor
    raise AssertionError(f"{module} has no floor: give it one in {Path(__file__).name}")


@pytest.mark.parametrize("module", sorted(set(SOURCES) - PLAIN))
def test_imports_go_down(module: str) -> None:
    for imported in imports_of(module) - PLAIN:
        assert floor_of(imported) <= floor_of(module), f"{module} imports {imported}, from above"


def test_parts_of_a_floor_read_only_those_that_are_named() -> None:
    found: dict[str, set[str]] = {}
    for module in SOURCES:
        if not module.startswith(ENGINE + "."):
            continue
        part = module.split(".")[2]
        for imported in imports_of(module) - PLAIN:
            if floor_of(imported) == floor_of(module) and imported.split(".")[2] != part:
                found.setdefault(part, set()).add(imported.split(".")[2])
    assert {part: " ".join(sorted(others)) for part, others in found.items()} == BESIDE


def test_nothing_imports_in_a_circle() -> None:
    list(TopologicalSorter({module: imports_of(module) for module in SOURCES}).static_order())


def test_commands_do_not_import_one_another() -> None:
    listed = {f"frcnn_cli.commands.{name.replace('-', '_')}" for name in COMMANDS}
    for module in listed & set(SOURCES):
        assert not imports_of(module) & listed, f"{module} imports another command"


def test_every_package_is_installed() -> None:
    """A folder that setup.cfg does not name is missing from the wheel."""
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    packages = {name for name, path in SOURCES.items() if path.name == "__init__.py"}
    assert set(setup["options"]["packages"].split()) == packages


def test_files_stay_readable() -> None:
    long = {
        name: count
        for name, path in SOURCES.items()
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long == {}


def test_the_wheel_has_every_package() -> None:
    """A package that setup.cfg does not list is missing where frcnn was not installed editable."""
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    listed = setup["options"]["packages"].split()
    assert sorted(listed) == sorted(
        name for name, path in SOURCES.items() if path.name == "__init__.py"
    )
