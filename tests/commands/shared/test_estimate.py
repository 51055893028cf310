"""The time left of long work: from recent items, and only once it is reliable."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from frcnn_cli.commands.shared.console import Output
from frcnn_cli.commands.shared.estimate import Announcement, Pace, in_bytes, in_words
from frcnn_cli.commands.shared.progress import ITEMS, bar
from frcnn_cli.engine.reporter import Counted, Needs

Clock = Callable[[float], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def pass_seconds(seconds: float) -> None:
        now[0] += seconds

    return pass_seconds


def counted(pace: Pace, clock: Clock, items: int, seconds: float) -> list[float | None]:
    """The estimates after each of `items` items of `seconds` seconds."""
    estimates = []
    for _ in range(items):
        clock(seconds)
        pace.count(1)
        estimates.append(pace.seconds_left)
    return estimates


def test_an_estimate_waits_for_ten_items(clock: Clock) -> None:
    pace = Pace(1000)
    clock(60)  # start-up, which does not count
    assert counted(pace, clock, 10, 2.0) == [None] * 9 + [pytest.approx(990 * 2.0)]


def test_an_estimate_waits_for_ten_seconds(clock: Clock) -> None:
    estimates = counted(Pace(1000), clock, 30, 0.5)
    known = [estimate is not None for estimate in estimates]
    assert known == [False] * 20 + [True] * 10  # the first item ends the start-up
    assert estimates[-1] == pytest.approx(970 * 0.5)


def test_a_pause_does_not_change_the_estimate(clock: Clock) -> None:
    """Such as an evaluation on val during training."""
    pace = Pace(1000)
    counted(pace, clock, 20, 1.5)
    clock(600)
    assert counted(pace, clock, 10, 1.5)[-1] == pytest.approx(970 * 1.5)


def test_recent_items_count(clock: Clock) -> None:
    pace = Pace(1000)
    counted(pace, clock, 100, 1.0)
    assert counted(pace, clock, 30, 3.0)[-1] == pytest.approx(870 * 3.0)


def test_items_that_finish_in_bursts(clock: Clock) -> None:
    """Four workers finish four items every eight seconds."""
    pace = Pace(1000)
    for _ in range(20):
        clock(8)
        for _ in range(4):
            pace.count(1)
    assert pace.seconds_left == pytest.approx(920 * 2.0)


def test_work_without_a_total_has_no_estimate(clock: Clock) -> None:
    assert counted(Pace(None), clock, 20, 2.0) == [None] * 20


def test_resumed_work_estimates_what_is_left(clock: Clock) -> None:
    assert counted(Pace(1000, 900), clock, 20, 2.0)[-1] == pytest.approx(80 * 2.0)


def test_long_work_is_announced_once(clock: Clock, tmp_path: Path) -> None:
    pace = Pace(1000)
    ahead = Announcement("Training", pace, Needs(42_000_000, tmp_path / "not yet"))
    lines = []
    for _ in range(20):
        counted(pace, clock, 1, 2.0)
        lines.append(ahead.line())
    (line,) = filter(None, lines)
    assert line.startswith("Training: 990 to do, about 33 min, about 42 MB on disk (")


def test_short_work_is_not_announced(clock: Clock) -> None:
    pace = Pace(30)
    ahead = Announcement("Detecting", pace)
    for _ in range(30):
        counted(pace, clock, 1, 2.0)
        assert ahead.line() is None


@pytest.mark.parametrize("unit", ["items", "frames", "bytes"])
def test_a_log_has_no_time_left_before_it_is_known(clock: Clock, unit: Counted) -> None:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    with Output(messages=console).progress("Working", 2000, unit=unit) as advance:
        for _ in range(40):
            clock(7)
            advance(1, "")
    assert isinstance(console.file, io.StringIO)
    lines = [line for line in console.file.getvalue().splitlines() if "to do" not in line]
    assert len(lines) == 4
    assert "left" not in lines[0]  # after 9 items
    assert [re.findall(r"(\d h \d+ min) left", line) for line in lines[1:]] == [
        ["3 h 51 min"], ["3 h 50 min"], ["3 h 49 min"]
    ]  # fmt: skip


def test_a_bar_has_no_time_left_before_it_is_known(clock: Clock) -> None:
    pace = Pace(2000)
    console = Console(file=io.StringIO(), force_terminal=True, width=200, color_system=None)
    progress = bar(ITEMS, console, pace)
    task = progress.add_task("Working", total=2000, status="")
    times = []
    for _ in range(40):
        counted(pace, clock, 1, 7.0)
        progress.update(task, advance=1)
        with console.capture() as capture:
            console.print(progress.get_renderable())
        times += re.findall(r"left (\S+)", capture.get())
    assert times[:9] == ["-:--:--"] * 9
    assert times[9] == "3:52:10"  # 1990 items of 7 seconds
    assert times[-1] == "3:48:40"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(61, "61 s"), (750, "12 min"), (12_000, "3 h 20 min")]
)
def test_durations_as_text(seconds: float, expected: str) -> None:
    assert in_words(seconds) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(850_000, "850 kB"), (42_300_000, "42 MB"), (1_660_000_000, "1.7 GB")]
)
def test_sizes_as_text(count: int, expected: str) -> None:
    assert in_bytes(count) == expected
