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


X86 = "defined(__x86_64__)"
CLANG = "defined(__clang__)"
# What only some compilers or processors have, and the branch of #if that must surround it.
GUARDED = {
    r"\w*intrin\.h|cpuid\.h|__get_cpuid|bit_[A-Z]": X86,
    r"\b_mm\w*|\b__m\d+|\b_cvt\w+|__builtin_cpu_\w+|__builtin_ia32_\w+|\basm\b": X86,
    r"arm_\w+\.h|\bv(?:ld|st|cvt)\w*_[fsu]\d+": "defined(__aarch64__)",
    r"#pragma clang|__builtin_shufflevector": CLANG,
    r"#pragma GCC target|__builtin_shuffle\b": f"not {CLANG}",
    r"sys/\w+\.h|unistd\.h|madvise": "defined(__linux__)",
}


def lines_with_guards(text: str) -> list[tuple[str, list[str]]]:
    """Each line of code with the conditions of the #if branches around it."""
    conditions: list[str] = []
    found = []
    for line in re.sub(r"//.*", "", text).splitlines():
        words = line.split(maxsplit=1)
        directive, rest = (words[0], words[1:]) if words else ("", [])
        if directive in ("#if", "#ifdef", "#ifndef"):
            conditions.append(" ".join(rest))
        elif directive == "#elif":
            conditions[-1] = " ".join(rest)
        elif directive == "#else":
            conditions[-1] = f"not {conditions[-1]}"
        elif directive == "#endif":
            conditions.pop()
        else:
            found.append((line, list(conditions)))
    assert not conditions
    return found


def unguarded(text: str) -> list[str]:
    return [
        line.strip()
        for line, conditions in lines_with_guards(text)
        for pattern, guard in GUARDED.items()
        if re.search(pattern, line) and guard not in conditions
    ]


@pytest.mark.parametrize(
    "source",
    [source for source in SOURCES if "cuda" not in source.parts],
    ids=lambda path: str(path.relative_to(CSRC)),
)
def test_code_for_one_processor_or_compiler_is_guarded(source: Path) -> None:
    assert unguarded(source.read_text(encoding="utf-8")) == []


def test_a_guard_covers_its_own_branch_only() -> None:
    text = "#if defined(__x86_64__)\n_mm_a();\n#else\n_mm_b();\n#endif\n_mm_c();\n"
    assert unguarded(text) == ["_mm_b();", "_mm_c();"]
