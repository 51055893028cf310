"""A model's architecture and the experiment that made it, as words for people."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from frcnn_cli.engine.network.model import FastRCNN, parameter_count
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.settings.fields import values_of


def setting_of(
    model: FastRCNN, path: Path, experiment: Experiment, origin: Mapping[str, Any]
) -> dict[str, str]:
    """Heading -> value, what one wants to know first. origin: the model file's own JSON."""
    architecture = model.architecture
    preprocessing, train = architecture.preprocessing, experiment.train
    schedule, sampling = train.schedule, train.sampling
    words = {
        "Model file": str(path),
        "Backbone": architecture.backbone,
        "Scale": f"shorter side {preprocessing.scale} px, at most {preprocessing.max_size} px",
        "fc6, fc7": _layers(architecture.hidden, architecture.ranks),
        "Classifier": architecture.classifier,
        "Parameters": f"{parameter_count(model):,}",
        "Trained on": f"{experiment.data.dataset or '-'}, {experiment.data.split or '-'}",
        "Proposals in training": experiment.proposals.file or experiment.proposals.source,
        "Iterations": f"{train.iterations:,}",
        "Learning rate": (
            f"{schedule.learning_rate:g} ({schedule.optimizer}), times {schedule.gamma:g} "
            f"after {schedule.step_at:.0%}"
        ),
        "Mini-batch": f"{sampling.images} images, {sampling.rois_per_image} RoIs from each",
        "Box training": train.box_training,
        "Seed": str(train.seed),
    }
    if "compressed_from" in origin:
        words["Compressed from"] = str(origin["compressed_from"])
    return words


def all_settings(experiment: Experiment) -> dict[str, str]:
    """Every field of the experiment by its name; what is empty is left out."""
    values = values_of(experiment)
    return {name: _in_words(value) for name, value in values.items() if value not in ("", ())}


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(_in_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _layers(hidden: tuple[int, int], ranks: Mapping[str, int]) -> str:
    sizes = zip(("fc6", "fc7"), hidden, strict=True)
    return ", ".join(
        f"{size} (rank {ranks[name]})" if name in ranks else str(size) for name, size in sizes
    )


def machine_facts(device: torch.device) -> dict[str, str]:
    """Processor, memory, system and versions, as words for people."""
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
