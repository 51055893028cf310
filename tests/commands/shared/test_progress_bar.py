"""The progress bar on terminals of different widths."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from frcnn_cli.commands.shared.estimate import Pace
from frcnn_cli.commands.shared.progress import ITEMS, bar
from frcnn_cli.engine.training.metrics import TrainingLine
from frcnn_cli.engine.training.run import StepReport


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_training_line_is_not_truncated(width: int) -> None:
    shown = Console(file=io.StringIO(), width=width, color_system=None)
    terminal = Console(file=io.StringIO(), force_terminal=True, width=width)
    progress = bar(ITEMS, terminal, Pace(4500, 1234))
    step = StepReport(1234, 1.197, 0.678, 0.519, 0.001, 2, 0.5, 0.01, evaluation=0.488)
    progress.add_task("Training", total=4500, completed=1234, status=TrainingLine()(step))
    shown.print(progress.get_renderable())
    assert isinstance(shown.file, io.StringIO)
    text = " ".join(shown.file.getvalue().split())
    for part in ("1234/4500", "left -:--:--", "loss 1.197 (class 0.678, boxes 0.519)"):
        assert part in text
    for part in ("rate 0.001", "4.0 images/s", "val mAP 48.8"):
        assert part in text
    assert "…" not in text
