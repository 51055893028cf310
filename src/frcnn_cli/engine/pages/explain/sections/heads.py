"""The heads: from a pooled map to class probabilities and a moved box (paper, section 2.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from frcnn_cli.engine.boxes import clip_boxes
from frcnn_cli.engine.detection.views import (
    class_scores,
    decoded_by_first,
    moves_boxes,
    ranked_order,
)
from frcnn_cli.engine.network.model import Refined
from frcnn_cli.engine.pages.explain.sections.rounding import rounded
from frcnn_cli.engine.pages.explain.subject import Subject

STRONGEST = 10  # activations of a layer that are shown


def heads_numbers(subject: Subject) -> dict[str, Any]:
    """What each layer returns for the chosen RoIs, in lists parallel to them.

    fc6, fc7: size, number of active outputs, and the strongest ones as (index, value). scores: of
    the background and all classes. best: the label of the best class. predicted: its offsets as
    the layer returns them; offsets: denormalised, with means and deviations; box: what they make of
    the proposal, clipped. second: what the second head does then. places: in the ranker's order,
    from 1. Both are None for a model without this part. most: RoIs that detection reads by the
    ranker. threshold: of a detection's score.
    """
    model, rows = subject.model, torch.tensor(subject.chosen)
    with torch.no_grad():
        fc6 = model.fc6_of(model.pool(subject.feature_map, subject.chosen_rois))
        fc7 = model.fc7_after(fc6)
        view = subject.chosen_outputs
        decoded = decoded_by_first(subject.maps.only(rows.numpy()), view.first, subject.settings)
    scores = subject.scores[rows]
    best = scores[:, 1:].argmax(dim=1)
    offsets = model.denormalise(view.first.offsets)
    second = None
    if view.refined is not None:
        second = _second(subject, view.refined, view.scores, view.boxes)
    return {
        "pooled": list(model.pooled_shape),
        "averaged": model.averaged,
        "fc6": _activations(fc6),
        "fc7": _activations(fc7),
        "moves": moves_boxes(model, subject.settings),
        "scores": rounded(scores, 3),
        "best": (best + 1).tolist(),
        "predicted": rounded(_of_class(view.first.offsets, best)),
        "means": rounded(model.offset_means[best], 3),
        "deviations": rounded(model.offset_deviations[best], 3),
        "offsets": rounded(_of_class(offsets, best)),
        "box": _boxes(subject, decoded, best),
        "second": second,
        "places": _places(subject),
        "most": subject.settings.max_proposals,
        "threshold": subject.settings.score_threshold,
    }


def _activations(outputs: Tensor) -> dict[str, Any]:
    values, index = outputs.topk(min(STRONGEST, outputs.shape[1]), dim=1)
    return {
        "size": outputs.shape[1],
        "active": (outputs > 0).sum(dim=1).tolist(),
        "index": index.tolist(),
        "values": rounded(values),
    }


def _second(subject: Subject, refined: Refined, mean: Tensor, boxes: Tensor) -> dict[str, Any]:
    """What the second head reads and returns. mean: (R, K + 1), scores of both heads together."""
    best = mean[:, 1:].argmax(dim=1)
    return {
        "read": rounded(refined.rois[:, 1:] / subject.scale, 5),
        "scores": rounded(class_scores(subject.model, refined.logits, refined.rois[:, 1:]), 3),
        "mean": rounded(mean, 3),
        "best": (best + 1).tolist(),
        "box": _boxes(subject, boxes, best),
    }


def _of_class(offsets: Tensor, best: Tensor) -> Tensor:
    """The four offsets (R, 4) of one class each, of offsets (R, 4 K)."""
    return offsets.view(len(best), -1, 4)[torch.arange(len(best)), best]


def _boxes(subject: Subject, boxes: Tensor, best: Tensor) -> Any:
    """The box of one class each, of boxes (R, K, 4), clipped to the image."""
    own = boxes[torch.arange(len(best)), best]
    return rounded(clip_boxes(own, *subject.image.shape[:2]), 5)


def _places(subject: Subject) -> list[int] | None:
    """The places of the chosen proposals in the ranker's order, from 1."""
    if subject.model.ranker is None:
        return None
    with torch.no_grad():
        order = ranked_order(subject.maps.objectness(), subject.proposals.boxes)
    place_of = np.empty(len(order), np.int64)
    place_of[order] = np.arange(1, len(order) + 1)
    return [int(place_of[row]) for row in subject.chosen]
