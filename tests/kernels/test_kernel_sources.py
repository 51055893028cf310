"""The layout of the C++ sources, read from their includes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "kernels/csrc"
SOURCES = sorted(path for path in CSRC.rglob("*") if path.suffix in {".h", ".cpp", ".cu"})
# In csrc/cpu, a folder may include its own files and those of these folders.
BELOW = {"": {"common", "depthwise", "nms", "roi_pool", "selective_search"}, "common": set()}


def included(source: Path) -> list[str]:
    return re.findall(r'^#include "(.+)"', source.read_text(encoding="utf-8"), re.MULTILINE)


def folder(path: str) -> str:
    """The folder inside csrc/cpu; "" for csrc/cpu itself."""
    return "/".join(path.split("/")[1:-1])


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(CSRC)))
def test_includes_are_files_of_csrc_in_allowed_folders(source: Path) -> None:
    name = str(source.relative_to(CSRC))
    for include in included(source):
        assert (CSRC / include).is_file(), f"{name}: {include} is not a file of csrc"
        device = include.split("/")[0] if "/" in include else None
        assert device in (None, name.split("/")[0]), f"{name} includes {include}"
        if device == "cpu":
            allowed = BELOW.get(folder(name), {"common"}) | {folder(name)}
            assert folder(include) in allowed, f"{name} includes {include}"


def test_vector_code_is_compiled_only_for_a_chosen_instruction_set() -> None:
    for source in SOURCES:
        kernels = [name for name in included(source) if name.endswith("/kernel.h")]
        assert not kernels or source.name.startswith("kernels_"), source
        if "cpu/common/vector.h" in included(source):
            assert source.name == "kernel.h", source


def test_only_one_file_detects_the_processor() -> None:
    detection = re.compile(r"__builtin_cpu_supports|target_clones|FRCNN_ISA\b")
    found = {path.name for path in SOURCES if detection.search(path.read_text(encoding="utf-8"))}
    assert found <= {"isa.cpp", "isa.h"}
