"""Fonts for text outside ASCII: $FRCNN_FONT, Matplotlib's own font, or an installed one."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from frcnn_cli.engine.reporter import Reporter
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.wording import counted

FONT_VARIABLE = "FRCNN_FONT"
# Control and format characters, spaces and marks need no glyph of their own.
_WITHOUT_GLYPH = ("Cc", "Cf", "Mn", "Zl", "Zp", "Zs")
# Installed fonts with these words are used only if no other has the letters.
_SPECIAL = ("bold", "italic", "oblique", "light", "thin", "black", "mono", "condensed", "serif")
_SHOWN = 20

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def pillow_font(text: str, size: float) -> Font:
    """A font for `text`. ASCII is drawn with Pillow's own font."""
    return _loaded(font_file(text), size)


@lru_cache(maxsize=16)
def _loaded(path: Path | None, size: float) -> Font:
    return ImageFont.load_default(size) if path is None else ImageFont.truetype(path, size)


def font_file(text: str) -> Path | None:
    """The font that has the most letters of `text`; None if it is ASCII.

    Raises MisuseError if $FRCNN_FONT is not a font.
    """
    letters = _letters_of([text])
    return _best_font(letters, os.environ.get(FONT_VARIABLE, ""))[0] if letters else None


def warn_of_missing_letters(reporter: Reporter, texts: Iterable[str]) -> None:
    """Report the letters of names for which no font is found."""
    chosen = os.environ.get(FONT_VARIABLE, "")
    missing = {letter for text in texts for letter in _best_font(_letters_of([text]), chosen)[1]}
    if missing:
        shown = "".join(sorted(missing)[:_SHOWN]) + ("..." if len(missing) > _SHOWN else "")
        reporter.warn(
            f"No font was found for {counted(len(missing), 'letter')} in names ({shown}). Images "
            "show squares in their place.\nInstall a font that has them, such as Noto Sans CJK for "
            f"Chinese, or set {FONT_VARIABLE} to a font file (.ttf, .otf, .ttc)."
        )


def _letters_of(texts: Iterable[str]) -> str:
    """The letters outside ASCII, each once."""
    letters = {letter for text in texts for letter in text if not letter.isascii()}
    return "".join(
        sorted(letter for letter in letters if unicodedata.category(letter) not in _WITHOUT_GLYPH)
    )


@lru_cache(maxsize=256)
def _best_font(letters: str, chosen: str) -> tuple[Path | None, str]:
    """The font with the most of these letters, and the letters that it does not have.

    chosen: the value of $FRCNN_FONT.
    """
    best, missing = None, letters
    for path in _fonts(chosen) if letters else ():
        without = _missing_in(path, letters)
        if best is None or len(without) < len(missing):
            best, missing = path, without
        if not missing:
            break
    return best, missing


def _fonts(chosen: str) -> Iterator[Path]:
    """Font files, the preferred ones first."""
    import matplotlib

    if chosen:
        if not _is_font(Path(chosen)):
            raise MisuseError(f"{FONT_VARIABLE}: {chosen!r} is not a font file (.ttf, .otf, .ttc).")
        yield Path(chosen)
    yield Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    from matplotlib.font_manager import findSystemFonts

    installed = [Path(path) for path in findSystemFonts()]
    yield from sorted(installed, key=lambda path: (_specialty(path), path.name))


def _specialty(path: Path) -> int:
    name = path.name.lower().replace("sansserif", "sans")
    return sum(word in name for word in _SPECIAL)


def _is_font(path: Path) -> bool:
    try:
        ImageFont.truetype(path)
    except (OSError, ValueError):
        return False
    return True


def _missing_in(path: Path, letters: str) -> str:
    """The letters that a font does not have; all if it cannot be used."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(str(path))
    except (OSError, RuntimeError, ValueError):
        return letters
    # Fonts of coloured pictures cannot be drawn in a colour, and a last resort has no letters.
    if not font.scalable or any(word in path.name.lower() for word in ("color", "lastresort")):
        return letters
    return "".join(letter for letter in letters if not font.get_char_index(ord(letter)))
