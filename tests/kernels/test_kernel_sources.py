"""The layout of the C++ sources, read from their includes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "kernels/csrc"
SOURCES = sorted(path for path in CSRC.rglob("*") if path.suffix in {".h", ".cpp", ".cu"})
# Below csrc/cpu, a folder includes files of its own and of these, but of no other operator.
BELOW = {"": {"common", "depthwise", "nms", "roi_pool", "selective_search"}, "common": set()}


def included(source: Path) -> list[str]:
    return re.findall(r'^#include "(.+)"', source.read_text(encoding="utf-8"), re.MULTILINE)


def folder(path: str) -> str:
    """The folder below csrc/cpu, "" for csrc/cpu itself."""
    return "/".join(path.split("/")[1:-1])


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(CSRC)))
def test_includes_name_files_of_csrc_from_rooms_below(source: Path) -> None:
    name = str(source.relative_to(CSRC))
    for include in included(source):
        assert (CSRC / include).is_file(), f"{name}: {include} is no file of csrc"
        device = include.split("/")[0] if "/" in include else None
        assert device in (None, name.split("/")[0]), f"{name} includes {include}"
        if device == "cpu":
            allowed = BELOW.get(folder(name), {"common"}) | {folder(name)}
            assert folder(include) in allowed, f"{name} includes {include}"


def test_vector_code_is_compiled_only_where_the_instruction_set_is_set() -> None:
    for source in SOURCES:
        kernels = [name for name in included(source) if name.endswith("/kernel.h")]
        assert not kernels or source.name.startswith("kernels_"), source
        if "cpu/common/vector.h" in included(source):
            assert source.name == "kernel.h", source


def test_only_one_file_asks_for_the_processor() -> None:
    asks = re.compile(r"__builtin_cpu_supports|target_clones|FRCNN_ISA\b")
    found = {path.name for path in SOURCES if asks.search(path.read_text(encoding="utf-8"))}
    assert found <= {"isa.cpp", "isa.h"}
