"""All plots in files have one style, and the format that is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from frcnn_cli.engine.compression.sweep import RankMeasurement, RankSweep
from frcnn_cli.engine.compression.sweep import sweep_plot as rank_plot
from frcnn_cli.engine.drawing import figures
from frcnn_cli.engine.evaluation.proposal_sweep import ProposalCountScores, ProposalSweep
from frcnn_cli.engine.evaluation.proposal_sweep import sweep_plot as proposal_plot
from frcnn_cli.engine.evaluation.recall import evaluate_recall
from frcnn_cli.engine.evaluation.recall_figures import draw_recall_by_iou, recall_plot
from frcnn_cli.engine.records import Dataset, GroundTruth, ImageRecord
from frcnn_cli.engine.training.figures import draw_losses
from frcnn_cli.engine.training.metrics import TrainingLog
from frcnn_proposals.base import Proposals

CLASSES = ("cat", "dog")
MAPS = {None: 0.721, 32: 0.693, 64: 0.711, 128: 0.719}


def dataset() -> Dataset:
    boxes = np.array([(0, 0, 9, 9), (0, 0, 19, 9)], np.float32)
    truth = GroundTruth(boxes, np.array([1, 2]), np.array([False, True]))
    record = ImageRecord("a", Path("a.jpg"), 40, 40, truth)
    return Dataset("/home/someone/pets", "val", CLASSES, (record,))


def recall(file_format: str) -> bytes:
    boxes = [(0, 0, 9, 19), (0, 0, 9, 6), (0, 0, 19, 9)]
    return recall_plot(evaluate_recall(dataset(), {"a": Proposals(boxes)}), "title", file_format)


def proposals(file_format: str) -> bytes:
    scores = tuple(ProposalCountScores(n, 0.5 + n / 1e4, 0.6) for n in (300, 2000))
    return proposal_plot(ProposalSweep("/home/someone/pets", "val", scores), file_format)


def ranks(file_format: str) -> bytes:
    points = tuple(
        RankMeasurement(rank, {}, {}, 1, 1, 0.1, average) for rank, average in MAPS.items()
    )
    return rank_plot(RankSweep(dataset(), False, points), file_format)


PLOTS = {"recall": recall, "proposals": proposals, "ranks": ranks}


@pytest.fixture(params=PLOTS)
def plot(request: pytest.FixtureRequest) -> Callable[[str], bytes]:
    return PLOTS[request.param]


def texts(plot: Callable[[str], bytes]) -> list[tuple[str, str]]:
    """(text, style) of every text; matplotlib is told to write texts instead of outlines."""
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        root = ElementTree.fromstring(plot("svg"))
    return [(e.text or "", e.get("style", "")) for e in root.iter() if e.tag.endswith("}text")]


@pytest.mark.parametrize(
    ("file_format", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")]
)
def test_the_format_is_the_one_asked_for(
    plot: Callable[[str], bytes], file_format: str, start: bytes
) -> None:
    content = plot(file_format)
    assert content.startswith(start)
    assert content == plot(file_format)


def test_text_has_two_sizes(plot: Callable[[str], bytes]) -> None:
    sizes = {re.search(r"([\d.]+)px", style).group(1) for _, style in texts(plot)}  # type: ignore[union-attr]
    assert sizes <= {"9.5", "9"}


def test_colours_are_those_of_the_style(plot: Callable[[str], bytes]) -> None:
    used = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", plot("svg").decode()))
    assert used - {"#000000"} <= {
        *(figures.INK, figures.MUTED, figures.RULE, figures.PAPER),
        *(*figures.SERIES, *figures.MEASURES),
    }


def test_a_dataset_is_named_without_its_folder(plot: Callable[[str], bytes]) -> None:
    assert not [text for text, _ in texts(plot) if "someone" in text]


def test_each_loss_has_a_colour_of_its_own() -> None:
    log = TrainingLog((1, 2), dict.fromkeys(("total", "classes", "boxes"), (1.0, 0.5)))
    axes = Figure().subplots()
    draw_losses(axes, log)
    assert len({line.get_color() for line in axes.lines}) == 3
    # Of two runs, each has one colour, and dashes distinguish the losses.
    axes = Figure().subplots()
    draw_losses(axes, log, figures.SERIES[1])
    assert {line.get_color() for line in axes.lines} == {figures.SERIES[1]}
    assert len({line.get_linestyle() for line in axes.lines}) == 3


def test_no_marker_is_at_the_edge_of_the_recall() -> None:
    result = evaluate_recall(dataset(), {"a": Proposals([(0, 0, 9, 9), (0, 0, 19, 9)])})
    axes = Figure().subplots()
    draw_recall_by_iou(axes, {"all objects": result.all_objects})
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for x, y in axes.lines[0].get_xydata().tolist():  # type: ignore[union-attr]
        assert left < x < right
        assert bottom < y < top


def test_the_ends_of_shares_have_no_decimals() -> None:
    assert {text for text, _ in texts(recall)} & {"0", "1", "0.0", "1.0"} == {"0", "1"}


def test_differences_of_a_few_points_are_visible() -> None:
    """The axis of mAP begins near the lowest value, so that 3 points fill it."""
    numbers = [float(text) for text, _ in texts(ranks) if re.fullmatch(r"\d\d\.\d", text)]
    assert numbers
    assert 68 < min(numbers) < max(numbers) < 73


def test_unusable_times_are_not_drawn() -> None:
    """Points with unusable times at 9 s leave the axis as it is without them."""

    def swept(seconds: float, usable: bool) -> bytes:
        points = tuple(
            RankMeasurement(rank, {}, {}, 1, 1, seconds if rank == 32 else 0.1, 0.7, usable)
            for rank in MAPS
        )
        return rank_plot(RankSweep(dataset(), False, points), "svg")

    assert b"nan" not in swept(9.0, usable=False)
    assert swept(9.0, usable=False) == swept(5.0, usable=False)
    assert swept(9.0, usable=True) != swept(5.0, usable=True)


def test_the_axis_of_an_equal_map_has_room() -> None:
    """Differences of a hundredth of a point do not look large."""
    points = tuple(RankMeasurement(r, {}, {}, 1, 1, 0.1, 0.7 + (r or 0) / 1e5) for r in (None, 32))

    def flat(file_format: str) -> bytes:
        return rank_plot(RankSweep(dataset(), False, points), file_format)

    numbers = [float(text) for text, _ in texts(flat) if re.fullmatch(r"[67]\d(\.\d+)?", text)]
    assert max(numbers) - min(numbers) > 0.5
