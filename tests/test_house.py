"""The folders of the code in one order: a file imports from its own folder, or from earlier ones.

Imports are read from the source, so that one inside a function counts too.
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
    "frcnn": REPOSITORY / "src",
}
ENGINE = "frcnn_cli.engine"
# Lowest first. docs/architecture.md says what each is for.
ROOMS = [
    "frcnn_kernels",
    "frcnn_proposals",
    "frcnn_cli",
    ENGINE,
    *(
        f"{ENGINE}.{room}"
        for room in (
            *("records", "reporter", "boxes", "seeds", "drawing", "settings", "distributed"),
            *("datasets", "parts", "network", "models", "proposals", "detection", "evaluation"),
            *("training", "compression", "pages", "pages.self_contained", "pages.report"),
            "pages.explain",
            *("exchange", "benchmarks", "doctor"),
        )
    ),
    "frcnn_cli.api",
    "frcnn",
    "frcnn_cli.commands",
    "frcnn_cli.cli",
    "frcnn_cli.reference",
    "frcnn_cli.__main__",
]
# These rooms are one file each, the __init__ of a folder whose rooms come after it.
ONE_FILE = {"frcnn_cli", ENGINE, f"{ENGINE}.pages"}
ONE_FILE_PER_KIND = {
    f"{ENGINE}.{folder}"
    for folder in (
        *("benchmarks", "datasets.readers", "evaluation.readers", "network.backbones"),
        "pages.explain.sections",
    )
}
MOST_ENTRIES = 20  # in a folder; one file per format is the exception
FORMATS = REPOSITORY / "proposals" / "frcnn_proposals" / "formats"


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path, root): path
    for package, root in ROOTS.items()
    for path in sorted((root / package).rglob("*.py"))
}


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


def place_of(module: str) -> int:
    for place, room in enumerate(ROOMS):
        if module == room or (room not in ONE_FILE and module.startswith(room + ".")):
            return place
    raise AssertionError(f"{module} is in no room: give it one in {Path(__file__).name}")


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_imports_come_from_earlier_rooms(module: str) -> None:
    for imported in imports_of(module):
        assert place_of(imported) <= place_of(module), f"{module} imports {imported}, from above"


def test_nothing_imports_in_a_circle() -> None:
    list(TopologicalSorter({module: imports_of(module) for module in SOURCES}).static_order())


def test_commands_do_not_import_one_another() -> None:
    listed = {f"frcnn_cli.commands.{place.partition(':')[0]}" for place, _ in COMMANDS.values()}
    for module in listed & set(SOURCES):
        assert not imports_of(module) & listed, f"{module} imports another command"


def test_folders_can_be_taken_in_at_a_glance() -> None:
    full = {
        str(folder.relative_to(REPOSITORY)): len(entries)
        for folder in sorted({path.parent for path in SOURCES.values()} - {FORMATS})
        if len(entries := [e for e in folder.iterdir() if e.name[0] not in "_."]) > MOST_ENTRIES
    }
    assert full == {}


def test_few_modules_serve_one_other_alone() -> None:
    """Few modules are imported by only one other module of the engine: many would be hard to read.

    A module that only one command calls is an entry of the engine and does not count. Neither does
    a folder with one file per kind, which a table lists.
    """
    importers: dict[str, list[str]] = {
        name: [] for name in SOURCES if name.startswith(f"{ENGINE}.")
    }
    for module in SOURCES:
        for imported in imports_of(module) & set(importers):
            importers[imported].append(module)
    alone = sorted(
        module
        for module, found in importers.items()
        if len(found) == 1
        and found[0] in importers
        and module.rpartition(".")[0] not in ONE_FILE_PER_KIND
    )
    assert len(alone) < 18, "\n".join(alone)


def test_every_package_is_installed() -> None:
    """A folder that setup.cfg does not name is missing from the wheel."""
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    packages = {name for name, path in SOURCES.items() if path.name == "__init__.py"}
    listed = setup["options"]["packages"].split()
    assert set(listed) == packages
    assert len(listed) == len(packages)


def test_files_stay_readable() -> None:
    long = {
        name: count
        for name, path in SOURCES.items()
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long == {}


def test_files_of_tests_have_different_names() -> None:
    """pytest imports them by name alone, so of two equal names it collects one."""
    names = [path.name for path in (REPOSITORY / "tests").rglob("test_*.py")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
