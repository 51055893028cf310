"""The page's summary: headline numbers, settings side by side, and the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import torch

from frcnn_cli.engine.evaluation.bootstrap import DifferenceMargins, Interval
from frcnn_cli.engine.evaluation.coco import CocoResult
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.models.supervision import supervision
from frcnn_cli.engine.network.model import parameter_count
from frcnn_cli.engine.pages.report.records import Report, Subject
from frcnn_cli.engine.settings import Architecture, Experiment, Schedule
from frcnn_cli.engine.settings.fields import values_of
from frcnn_proposals.wording import counted


@dataclass(frozen=True)
class Headline:
    """One headline number. values: text per subject. change: from the first to the second.

    margin: the 95% interval of the change.
    """

    name: str
    note: str
    values: tuple[str, ...]
    change: str | None = None
    unit: str = ""
    margin: str = ""


@dataclass(frozen=True)
class SettingRow:
    """One setting of each subject. differs: whether the values are not the same."""

    name: str
    values: tuple[str, ...]
    differs: bool


def headlines(report: Report, margins: DifferenceMargins | None) -> tuple[Headline, ...]:
    """The headline numbers of the subjects, the most important first."""
    by_11point, by_area = (
        (None, None) if margins is None else (margins.map_11point, margins.map_area)
    )
    rows = (
        _points(report, "mAP", "VOC, 11-point", lambda s: s.evaluation.voc.map_11point, by_11point),
        _points(report, "mAP", "VOC, area", lambda s: s.evaluation.voc.map_area, by_area),
        _points(report, "AP", "COCO, 0.50:0.95", lambda s: _coco(s).ap),
        _points(report, "AP75", "COCO", lambda s: _coco(s).ap75),
        _points(report, "CorLoc", _pairs(report), lambda s: s.evaluation.corloc.corloc)
        if report.shows_corloc
        else None,
        _amount(report, "Time", "proposals given", _milliseconds, "{:,.0f}", "ms"),
        _amount(report, "Size", "parameters", _millions, "{:.1f}", "M"),
        _amount(report, "File", "of the model", _megabytes, "{:.1f}", "MB"),
    )
    return tuple(row for row in rows if row is not None)


def setting_rows(settings: Sequence[Mapping[str, str]]) -> tuple[SettingRow, ...]:
    """The settings of each subject, side by side."""
    rows = []
    for name in dict.fromkeys(name for values in settings for name in values):
        row = tuple(values.get(name, "-") for values in settings)
        rows.append(SettingRow(name, row, len(set(row)) > 1))
    return tuple(rows)


def points(value: float | None, digits: int = 1) -> str:
    """0.5234 as 52.3; a dash if there is nothing to average."""
    return "–" if value is None else f"{100 * value:.{digits}f}"


def percent(value: float | None) -> str:
    """0.5234 as 52.3%; a dash if there is nothing to divide by."""
    return "–" if value is None else f"{100 * value:.1f}%"


def interval(limits: Interval | None) -> str:
    """(-0.031, 0.004) as −3.1 to +0.4; nothing without an interval."""
    return "" if limits is None else " to ".join(_signed(100 * limit, 1) for limit in limits)


def signed_points(first: float | None, second: float | None) -> str:
    """The difference in points, with its sign."""
    if first is None or second is None:
        return "–"
    return _signed(100 * (second - first), 1)


def _signed(change: float, digits: int) -> str:
    text = f"{change:+.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else text.replace("-", "−")


def _points(
    report: Report,
    name: str,
    note: str,
    value: Callable[[Subject], float | None],
    margin: Interval | None = None,
) -> Headline:
    values = [value(subject) for subject in report.subjects]
    change = signed_points(*values) if report.compares else None
    shown = tuple(points(share) for share in values)
    return Headline(name, note, shown, change, margin=interval(margin))


def _amount(
    report: Report,
    name: str,
    note: str,
    value: Callable[[Subject], float | None],
    form: str,
    unit: str,
) -> Headline | None:
    values = [value(subject) for subject in report.subjects]
    if all(number is None for number in values):
        return None
    shown = tuple("–" if number is None else form.format(number) for number in values)
    change = None
    if report.compares and values[0] and values[1]:
        change = f"× {values[1] / values[0]:.2f}"
    return Headline(name, note, shown, change, unit)


def _pairs(report: Report) -> str:
    pairs = report.subjects[0].evaluation.corloc.total.pairs
    return f"{pairs:,} pairs of image and class"


def _coco(subject: Subject) -> CocoResult:
    """The COCO metrics, which every report has."""
    assert subject.evaluation.coco is not None
    return subject.evaluation.coco


def _milliseconds(subject: Subject) -> float | None:
    return 1000 * sum(subject.stages.values()) if subject.stages else None


def _millions(subject: Subject) -> float | None:
    return None if subject.parameters is None else subject.parameters / 1e6


def _megabytes(subject: Subject) -> float | None:
    return None if subject.file_bytes is None else subject.file_bytes / 1e6


def without_folders(value: str) -> str:
    """The last part of a path from outside the current folder, as the page may be sent to others.

    So is the path of NAME=PATH. Any other value stays as it is.
    """
    path = PurePath(value.strip("\"'"))
    if path.is_absolute() or ".." in path.parts or path.parts[:1] == ("~",):
        return path.name or value
    name, equals, rest = value.partition("=")
    return name + equals + without_folders(rest) if equals else value


def main_settings(loaded: LoadedModel) -> dict[str, str]:
    """Heading -> value of a model's most important settings, as text."""
    architecture, experiment = loaded.model.architecture, loaded.experiment
    preprocessing, train = architecture.preprocessing, experiment.train
    schedule, sampling = train.schedule, train.sampling
    dataset = without_folders(experiment.data.dataset)
    rois = f"up to {train.proposals:,}" if train.is_weak else str(sampling.rois_per_image)
    words = {
        "Model file": without_folders(loaded.name),
        "Backbone": architecture.backbone,
        "Scale": f"shorter side {preprocessing.scale} px, at most {preprocessing.max_size} px",
        "fc6, fc7": _layers(architecture.hidden, architecture.ranks),
        **_parts(architecture),
        "Classifier": architecture.classifier,
        **_supervision(experiment),
        "Parameters": f"{parameter_count(loaded.model):,}",
        "Trained on": f"{dataset or '-'}, {experiment.data.split or '-'}",
        "Proposals in training": (
            without_folders(experiment.proposals.file) or experiment.proposals.source
        ),
        "Iterations": f"{train.iterations:,}",
        "Learning rate": f"{schedule.learning_rate:g} ({schedule.optimizer}), {_decay(schedule)}",
        "Mini-batch": f"{counted(sampling.images, 'image')}, {rois} RoIs from each",
        "Box training": train.box_training,
        "Seed": str(train.seed),
    }
    if "compressed_from" in loaded.origin:
        words["Compressed from"] = without_folders(str(loaded.origin["compressed_from"]))
    return words


def all_settings(experiment: Experiment) -> dict[str, str]:
    """Every field of the experiment by name, without empty values."""
    values = values_of(experiment)
    return {name: _in_words(value) for name, value in values.items() if value not in ("", ())}


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(_in_words, value))
    return f"{value:g}" if isinstance(value, float) else without_folders(str(value))


def _layers(hidden: tuple[int, int], ranks: Mapping[str, int]) -> str:
    sizes = zip(("fc6", "fc7"), hidden, strict=True)
    return ", ".join(
        f"{size} (rank {ranks[name]})" if name in ranks else str(size) for name, size in sizes
    )


def _supervision(experiment: Experiment) -> dict[str, str]:
    """Heading -> value of what the model was trained from, unless from boxes."""
    words = supervision(experiment)
    return {} if words is None else {"Trained from": words}


def _parts(architecture: Architecture) -> dict[str, str]:
    """Heading -> value of the second head and the ranker, if the network has them."""
    parts = {}
    if architecture.cascade:
        ranks = architecture.ranks_of_second
        parts["Second head: fc6, fc7"] = _layers(architecture.hidden, ranks)
    if architecture.ranker:
        parts["Ranker"] = "orders the proposals"
    return parts


def machine_facts(device: torch.device) -> dict[str, str]:
    """Processor, memory, system and versions, as text."""
    threads = torch.get_num_threads()
    facts = {
        "Processor": f"{_processor()}, {threads} thread{'s' if threads > 1 else ''}",
        "Memory": _memory(),
        "System": f"{platform.system()} {platform.release()}",
        "Python, torch": f"{platform.python_version()}, {torch.__version__}",
    }
    if device.type == "cuda":
        facts["GPU"] = torch.cuda.get_device_name(device)
    return facts


def _decay(schedule: Schedule) -> str:
    if schedule.decay == "cosine":
        return "decreasing along half a cosine"
    return f"times {schedule.gamma:g} after {schedule.step_at:.0%}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return "unknown"
    return f"{size / 2**30:.0f} GiB"
