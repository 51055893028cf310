"""mAP against the number of proposals (paper, section 5.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from frcnn_cli.engine.detection.dataset import detect_dataset, readable_images
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.evaluation.images import open_images
from frcnn_cli.engine.evaluation.voc import evaluate_voc
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.models.seen_images import seen_images
from frcnn_cli.engine.proposals.for_dataset import warn_of_some
from frcnn_cli.engine.records import short_name
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings.options import DataOptions, DetectionOptions
from frcnn_proposals.errors import MisuseError


@dataclass(frozen=True)
class ProposalCountScores:
    """The mAP with at most this number of proposals per image."""

    proposals: int
    map_11point: float
    map_area: float


@dataclass(frozen=True)
class ProposalSweep:
    """The mAP on one split for several numbers of proposals."""

    dataset: str
    split: str
    scores: tuple[ProposalCountScores, ...]


def sweep_proposals(
    loaded: LoadedModel,
    data: DataOptions,
    detection: DetectionOptions,
    counts: Sequence[int],
    team: Team = ALONE,
    reporter: Reporter = SILENT,
) -> ProposalSweep:
    """Detect and evaluate with the first n proposals of each image, for each n in `counts`.

    Images that cannot be read are named and skipped. Raises MisuseError for a team of several
    processes, and InputError if no image can be read.
    """
    if team.world > 1:
        raise MisuseError("--sweep runs in one process: start it without torchrun.")
    images = open_images(loaded, data, reporter=reporter)
    dataset = images.dataset
    seen_images(loaded, dataset, images.digests, data.data_root, reporter)
    settings = detection.for_evaluation(loaded.experiment.detect, loaded.model.architecture)
    model = prepare_model(loaded.model, loaded.precision)
    scores: list[ProposalCountScores] = []
    with reporter.progress("Detecting", len(counts) * len(dataset)) as advance:
        for count in counts:
            limited = replace(settings, proposals=count)
            detected = detect_dataset(
                model, dataset, images.proposals, limited, lambda: advance(1, "")
            )
            if not scores:
                warn_of_some(reporter, detected.failures)
            result = evaluate_voc(readable_images(dataset, [detected.found]), detected.found)
            map_11point, map_area = result.map_11point or 0.0, result.map_area or 0.0
            scores.append(ProposalCountScores(count, map_11point, map_area))
    return ProposalSweep(dataset.name, dataset.split, tuple(scores))


def sweep_plot(sweep: ProposalSweep, file_format: str = "png") -> bytes:
    """A file with a plot of the mAP (in percent) against the number of proposals."""
    from frcnn_cli.engine.drawing.figures import (
        MEASURES,
        counts_on_x,
        figure_file,
        new_figure,
        style,
    )

    counts = [scores.proposals for scores in sweep.scores]
    lines = {
        "11-point": ("o-", [100 * scores.map_11point for scores in sweep.scores]),
        "area": ("s--", [100 * scores.map_area for scores in sweep.scores]),
    }
    with style():
        figure = new_figure(3.2)
        axes = figure.subplots()
        for colour, (name, (line, values)) in zip(MEASURES, lines.items(), strict=False):
            axes.plot(counts, values, line, color=colour, label=name)
        counts_on_x(axes, "proposals per image, at most", counts)
        axes.set(ylabel="mAP (%)", title=f"{short_name(sweep.dataset)}, {sweep.split}")
        axes.legend()
        return figure_file(figure, file_format)
