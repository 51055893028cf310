"""Every command that the documentation shows can be given; nothing is run."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from documented import (
    COMMAND,
    REPOSITORY,
    Shown,
    block_lines,
    error_of,
    in_blocks,
    in_helps,
    in_sentences,
    joined,
    pages,
)

from frcnn_cli.cli import cli
from frcnn_cli.reference import commands_below

NAMES = {
    tuple(path.split()[1:])
    for path, _, _ in commands_below(cli, click.Context(cli, info_name="frcnn"))
}
SHOWN = [
    *in_helps(),
    *(shown for page in pages() for shown in (*in_blocks(page), *in_sentences(page))),
]


@pytest.mark.parametrize("shown", SHOWN, ids=str)
def test_documented_commands_are_valid(
    shown: Shown, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The command and its options exist; values have the right type and number."""
    monkeypatch.chdir(tmp_path)
    # A sentence may name a command that needs arguments.
    named = shown.inline and shown.words in NAMES
    assert not error_of((*shown.words, "--help") if named else shown.words)


@pytest.mark.parametrize(
    "words",
    ["evil", "eval --nothing", "eval a b c", "detect", "train voc2007 --scale many",
     "data export voc2007 x --format pascal", "bench nms --rounds 0"],
)  # fmt: skip
def test_invalid_commands_are_rejected(words: str) -> None:
    assert "Error" in error_of(tuple(words.split()))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_none_is_overlooked(page: Path) -> None:
    """A line of a block that has `frcnn COMMAND`, and not in quotes, is read as a command."""
    lines = [line for _, line in joined(block_lines(page.read_text(encoding="utf-8")))]
    calls = [line for line in lines if re.search(r"(?<![`/'])\bfrcnn(_cli)? [a-z]", line)]
    assert [line for line in calls if not COMMAND.match(line)] == []
    assert len(in_blocks(page)) == len(calls)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_documented_make_targets_exist(page: Path) -> None:
    rules = re.findall(r"^([a-z][a-z -]*):", (REPOSITORY / "Makefile").read_text(), re.M)
    targets = {target for rule in rules for target in rule.split()}
    text = page.read_text(encoding="utf-8")
    documented = re.findall(r"(?:^    |`)make ([a-z-]+)(?:`|\s+#|$)", text, re.M)
    assert set(documented) <= targets
