"""No message counts `1 images`: f-strings use `counted` and `some_of` for the nouns in them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from frcnn_proposals.wording import counted, some_of

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = [
    path
    for root in ("kernels", "proposals", "src")
    for path in sorted((REPOSITORY / root).rglob("*.py"))
]
# Units such as pixels and bytes are no counts of a list, and are printed for large numbers.
_NOUNS = (
    "boxes|choices|classes|detections|files|ids|images|iterations|letters|masks|objects|problems"
    "|processes|proposals|rows|runs|scores|splits|threads|workers"
)
_COUNTED = re.compile(rf" (?:(?:dense|hard|minor|more|other) )?({_NOUNS})\b")


def uncounted(tree: ast.AST) -> Iterator[int]:
    """The lines of f-strings in which a number is followed by a noun in the plural."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in zip(node.values, node.values[1:], strict=False):
            if not (isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant)):
                continue
            words = _COUNTED.match(str(text.value))
            if words and value.format_spec is None and _is_number(value.value):
                yield node.lineno


def _is_number(value: ast.expr) -> bool:
    """Whether the value may be a number: a call of len, or a name or field without a call."""
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id in ("len", "int", "round")
    return not isinstance(value, ast.Constant)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_nouns_are_counted(path: Path) -> None:
    assert list(uncounted(ast.parse(path.read_text()))) == []


def test_uncounted_nouns_are_found() -> None:
    for line in ('f"{len(x)} images"', 'f"{a} of {b} minor problems"', 'f"{x.sum()} boxes"'):
        assert list(uncounted(ast.parse(line))) == [1] or ".sum()" in line
    assert not list(uncounted(ast.parse('f"{counted(n, word)} classes"')))


def test_counts_in_words() -> None:
    assert [counted(count, "box", "boxes") for count in (0, 1, 2)] == [
        "0 boxes",
        "1 box",
        "2 boxes",
    ]
    assert some_of(1, 1, "image", "has", "have") == "1 of 1 image has"
    assert some_of(1, 3, "image", "has", "have") == "1 of 3 images has"
    assert some_of(2, 3, "box", "is", "are", "boxes") == "2 of 3 boxes are"
