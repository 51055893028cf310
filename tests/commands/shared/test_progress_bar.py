"""The progress bar on terminals of different widths."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from frcnn_cli.commands.shared.estimate import Pace
from frcnn_cli.commands.shared.progress import BYTES, FRAMES, ITEMS, Unit, bar
from frcnn_cli.engine.training.metrics import TrainingLine
from frcnn_cli.engine.training.run import StepReport


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_training_line_is_not_truncated(width: int) -> None:
    shown = Console(file=io.StringIO(), width=width, color_system=None)
    terminal = Console(file=io.StringIO(), force_terminal=True, width=width)
    progress = bar(ITEMS, terminal, Pace(4500, 1234))
    step = StepReport(1234, 3.197, 0.678, 0.519, 0.001, 2, 0.5, 0.01, evaluation=0.488)
    progress.add_task("Training", total=4500, completed=1234, status=TrainingLine()(step))
    shown.print(progress.get_renderable())
    assert isinstance(shown.file, io.StringIO)
    text = " ".join(shown.file.getvalue().split())
    for part in (
        "1234/4500",
        "left -:--:--",
        "loss 3.197 (class 0.678, boxes 0.519, others 2.000)",
    ):
        assert part in text
    for part in ("elapsed 0:00:00 left", "rate 0.001", "4.0 images/s", "val mAP 48.8"):
        assert part in text
    assert "…" not in text


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
@pytest.mark.parametrize(
    ("title", "unit", "total", "done", "numbers"),
    [
        ("Proposing (selective-search+dense)", ITEMS, 20_000, 9_999, "9999/20000"),
        ("Downloading", BYTES, 2_000_000_000, 850_000_000, "850 MB/2.0 GB"),
        ("Detecting", FRAMES, None, 12_345, "12345"),
        ("Timing", ITEMS, None, 0, ""),
    ],
)
def test_no_number_is_truncated(
    width: int, title: str, unit: Unit, total: int | None, done: int, numbers: str
) -> None:
    stream = io.StringIO()
    terminal = Console(file=io.StringIO(), force_terminal=True, width=width)
    progress = bar(unit, terminal, Pace(total))
    progress.add_task(title, total=total, completed=done, status="")
    Console(file=stream, width=width, color_system=None).print(progress.get_renderable())
    text = " ".join(stream.getvalue().split())
    without_bar = " ".join(text.replace("\u2501", " ").replace("\u2578", " ").split())
    left = "" if total is None else " left -:--:--"
    assert without_bar == " ".join(f"{title} {numbers} elapsed 0:00:00{left}".split())
    assert max(len(line.rstrip()) for line in stream.getvalue().splitlines()) <= width
    assert "\u2501" in text or width < 200


def test_a_camera_is_shown_in_one_line() -> None:
    stream = io.StringIO()
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80)
    progress = bar(FRAMES, terminal, Pace(None))
    progress.add_task("Detecting", total=None, completed=120, status="3 objects, 37 dropped")
    Console(file=stream, width=80, color_system=None).print(progress.get_renderable())
    (line,) = stream.getvalue().splitlines()
    assert " ".join(line.split()) == "Detecting 120 elapsed 0:00:00 3 objects, 37 dropped"
