"""Plain text lists: image ids, class names."""

from __future__ import annotations

from pathlib import Path

from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.reading import read_text

CLASSES_FILE = "classes.txt"


def read_classes(path: Path) -> tuple[str, ...]:
    """Class names, one a line, in order of label."""
    classes = tuple(read_lines(path))
    if not classes or len(set(classes)) != len(classes):
        raise InputError(f"{path}: expected one class name a line, each once")
    return classes


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank, stripped."""
    try:
        text = read_text(path, "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable text file ({reason(error)})") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
