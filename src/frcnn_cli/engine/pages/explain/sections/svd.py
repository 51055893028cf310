"""Section 8: truncated SVD of fc6 and fc7, and what it changes in this image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from frcnn_cli.engine.boxes import iou_matrix
from frcnn_cli.engine.compression.layers import decompose_layers, replace_layers
from frcnn_cli.engine.compression.ranks import Choice, Decompositions, by_rank
from frcnn_cli.engine.detection.image import detect_in_views
from frcnn_cli.engine.network.layer_costs import layer_costs
from frcnn_cli.engine.network.layers.low_rank import LowRankLinear
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.pages.explain.sections.rounding import rounded
from frcnn_cli.engine.pages.explain.subject import Subject
from frcnn_cli.engine.records import Detections

RANKS = (1, 4, 16, 64, 256, 1024)
SAME_IOU = 0.5  # with the same class: the same object


def svd_numbers(subject: Subject) -> dict[str, Any]:
    """Each layer's singular values and energy by rank, and the detections at some ranks.

    `tried` begins with the model as it is (rank None). Its multiply_adds are those of the whole
    network for this image. `same` counts the detections of the original model that are also found
    at this rank.
    """
    decompositions = decompose_layers(subject.model)
    choices = {rank: by_rank(decompositions, rank) for rank in RANKS}
    choices = {rank: choice for rank, choice in choices.items() if choice.ranks}
    tried = [_row(subject, subject.model, None, Choice({}), subject.detections)]
    for rank, choice in choices.items():
        model = replace_layers(subject.model, decompositions, choice).model
        views = (replace(subject.maps, model=model),)
        found = detect_in_views(model, views, subject.image.shape[:2], subject.settings)
        tried.append(_row(subject, model, rank, choice, found))
    return {"layers": _layers(decompositions), "tried": tried}


def _layers(decompositions: Decompositions) -> list[dict[str, Any]]:
    """values, energy: one number per rank. weights: of the current layer; uv unless it is split."""
    return [
        {
            "name": name,
            "outputs": layer.outputs,
            "inputs": layer.inputs,
            "weights": layer.multiply_adds,
            "split": layer.rank if isinstance(layer.layer, LowRankLinear) else None,
            "largest": layer.largest_rank,
            "values": rounded(np.sqrt(layer.energies)),
            "energy": rounded(layer.energy_kept),
        }
        for name, layer in decompositions.items()
    ]


def _row(
    subject: Subject, model: FastRCNN, rank: int | None, choice: Choice, found: Detections
) -> dict[str, Any]:
    costs = layer_costs(model.architecture, subject.input_size)
    rois = len(subject.proposals)
    return {
        "rank": rank,
        "ranks": choice.ranks,
        "multiply_adds": costs.multiply_adds(rois, subject.settings.max_proposals),
        "same": _same(subject.detections, found),
        "detections": [
            {"label": int(label), "score": rounded(score), "box": rounded(box, 5)}
            for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True)
        ],
    }


def _same(original: Detections, found: Detections) -> int:
    """How many of the original detections have one of the same class at the same place."""
    overlaps = iou_matrix(original.boxes, found.boxes)
    same = (overlaps >= SAME_IOU) & (original.labels[:, None] == found.labels)
    return int(same.any(axis=1).sum())
