"""The `frcnn` commands that the documentation shows: found in its pages and in the helps."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from frcnn_cli.cli import cli
from frcnn_cli.reference import commands_below

REPOSITORY = Path(__file__).resolve().parents[2]
# Written from the helps, whose examples are read where they are written.
GENERATED = "commands.md"
# The languages of fenced blocks that a shell reads; those without one hold output as well.
SHELLS = ("", "bash", "sh", "console")
# How a line begins that a shell is given; anything else in a block is output.
COMMAND = re.compile(r"(\$ )?(\w+=\S* )*(frcnn|torchrun|srun|eval) ")
# What stands for a value in a synopsis, where any word will not do.
PLACEHOLDERS = {
    "FORMAT": "coco",
    "IN": "boxes.mat",
    "N": "1",
    "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT": "1/8",
}


@dataclass(frozen=True)
class Shown:
    """A command as a page shows it.

    where: page and line, or the command with this help text. words: the words after `frcnn`.
    launched: whether torchrun starts it. inline: whether it is part of a sentence.
    """

    where: str
    words: tuple[str, ...]
    launched: bool = False
    inline: bool = False

    def __str__(self) -> str:
        return f"{self.where}: frcnn {shlex.join(self.words)}"


def pages() -> list[Path]:
    """The README and the pages that people wrote."""
    written = (page for page in (REPOSITORY / "docs").glob("*.md") if page.name != GENERATED)
    return [REPOSITORY / "README.md", *sorted(written)]


def in_blocks(page: Path) -> list[Shown]:
    """The commands in the blocks of a page, in its order."""
    return [
        Shown(f"{page.name}:{number}", words, launched)
        for number, line in joined(block_lines(page.read_text(encoding="utf-8")))
        if COMMAND.match(line)
        for words, launched in commands_in(line.removeprefix("$ "))
    ]


def in_sentences(page: Path) -> list[Shown]:
    """The commands that a page's sentences and tables show, `frcnn train --resume RUN`."""
    text = re.sub(r"^```.*?^```", _blank, page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [
        Shown(f"{page.name}:{_line(text, found)}", filled(shlex.split(found[1])), inline=True)
        for found in re.finditer(r"`frcnn\s([^`]+)`", text)
    ]


def in_helps() -> list[Shown]:
    """The examples of every command's help."""
    return [
        Shown(f"{path} --help", words, launched)
        for path, command, _ in commands_below(cli, click.Context(cli, info_name="frcnn"))
        for line in inspect.cleandoc(command.help or "").splitlines()
        if COMMAND.match(line)
        for words, launched in commands_in(re.split(r" {2,}", line)[0])  # what it does follows
    ]


def block_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of fenced blocks that a shell reads and of indented blocks, with their numbers."""
    fence: str | None = None
    indented, before = False, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fence = line[3:] if fence is None else None
        elif fence is not None:
            if fence in SHELLS:
                yield number, line
        else:
            indented = line.startswith("    ") and (indented or not before.strip())
            if indented:
                yield number, line[4:]
        before = line


def commands_in(line: str) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The words after `frcnn` in each command of a line, and whether torchrun starts it.

    A line may have a comment, variables in front, pipes, `&&`, and `$(...)`. Raises ValueError
    if the quotes do not match.
    """
    tokens = shlex.shlex(line, posix=True, punctuation_chars=True)
    tokens.whitespace_split = True
    command: list[str] = []
    for token in (*tokens, ";"):
        if token.startswith("$("):
            yield from commands_in(token[2:-1])
        elif token in ("|", "||", "&", "&&", ";"):
            yield from _of_frcnn(command)
            command = []
        else:
            command.append(token)


def _of_frcnn(command: list[str]) -> Iterator[tuple[tuple[str, ...], bool]]:
    while command and re.match(r"\w+=", command[0]):
        command = command[1:]
    if ">" in command:
        command = command[: command.index(">")]
    if "frcnn_cli" in command:
        yield tuple(command[command.index("frcnn_cli") + 1 :]), "torchrun" in command
    elif command[:1] == ["frcnn"]:
        yield filled(command[1:]), False


def joined(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Join each line that ends in a backslash with the next one."""
    start, whole = 0, ""
    for number, line in lines:
        start, whole = (start, whole + line.lstrip()) if whole else (number, line)
        if whole.endswith("\\"):
            whole = whole[:-1]
        else:
            yield start, whole
            whole = ""


def _blank(block: re.Match[str]) -> str:
    return "\n" * block[0].count("\n")


def _line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1


def filled(words: Iterable[str]) -> tuple[str, ...]:
    """Replace placeholders such as FORMAT by values, and include optional words such as [NAME]."""
    bare = (word.strip("[]") for word in words if word.strip("[]") != "...")
    return tuple(PLACEHOLDERS.get(word, word) for word in bare)


def error_of(words: tuple[str, ...]) -> str:
    """The error for an invalid command line, else an empty text; no command is run."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(click.Command, "invoke", lambda *_: None)
        result = CliRunner().invoke(cli, words)
    return "" if result.exit_code == 0 else result.output or repr(result.exception)
