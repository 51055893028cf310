"""The multi-task loss of each chosen RoI (paper, section 2.3, equations 1 to 3)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frcnn_cli.engine.boxes import decode_boxes
from frcnn_cli.engine.network.losses import roi_losses, smooth_l1
from frcnn_cli.engine.pages.explain.sample import (
    SAMPLING,
    box_weight,
    candidates_of,
    draw_sample,
    missing_loss,
    sample_forward,
)
from frcnn_cli.engine.pages.explain.sections.rounding import rounded
from frcnn_cli.engine.pages.explain.subject import Subject
from frcnn_cli.engine.records import BACKGROUND
from frcnn_cli.engine.training.sampling import (
    Candidates,
    foreground_and_background,
    target_offsets,
)

# What training does with a RoI; those of the last two roles are never drawn.
ROLES = ("foreground", "background", "too far", "ignored")
_POINTS = 161  # of each curve


def loss_numbers(subject: Subject) -> dict[str, Any]:
    """The role of each chosen RoI in training, and its loss by the first head.

    missing: why there is no loss; the other values exist only if it is None. roles: their numbers
    of candidates. sample: what the image contributes to a mini-batch, and the means of its loss.
    rois: one record per chosen RoI. curve: smooth L1 and L2 at the values x.
    """
    missing = missing_loss(subject)
    if missing is not None:
        return {"missing": missing}
    candidates = candidates_of(subject)
    roles = _roles(candidates)
    objects = len(candidates.boxes) - len(subject.proposals)
    rois = _rois(subject, candidates, roles, objects + np.array(subject.chosen))
    sample = draw_sample(subject)
    with torch.no_grad():
        losses = sample_forward(subject, sample, subject.feature_map).losses
    return {
        "missing": None,
        "cascade": subject.model.second is not None,
        "lambda": box_weight(subject),
        "foreground_iou": SAMPLING.foreground_iou,
        "background_iou": list(SAMPLING.background_iou),
        "objects": objects,
        "roles": {role: int((roles == role).sum()) for role in ROLES},
        "sample": {
            "rois": len(sample.labels),
            "foreground": int((sample.labels != BACKGROUND).sum()),
            "total": rounded(losses.total),
            "classification": rounded(losses.classification),
            "box_regression": rounded(losses.box_regression),
        },
        "rois": rois,
        "curve": _curves(rois),
    }


def _roles(candidates: Candidates) -> NDArray[np.str_]:
    """One of ROLES for each candidate."""
    roles = np.where(candidates.ignored, "ignored", "too far").astype("<U10")
    foreground, background = foreground_and_background(candidates, SAMPLING)
    roles[foreground], roles[background] = "foreground", "background"
    return roles


def _rois(
    subject: Subject, candidates: Candidates, roles: NDArray[np.str_], rows: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """The records of the chosen RoIs, which are these rows of the candidates.

    object: name and box of the object with the highest IoU. A RoI that training does not draw has
    no loss. p: of the true class u. x: t - v, normalised, for equation 3; only foreground has it.
    box: what the network predicts for class u.
    """
    model, chosen = subject.model, torch.tensor(subject.chosen)
    logits, offsets = (values[chosen] for values in subject.outputs)
    labels = np.where(roles[rows] == "foreground", candidates.labels[rows], BACKGROUND)
    u = torch.from_numpy(labels)
    v = torch.from_numpy(target_offsets(candidates, rows, model.architecture.box_coding))
    v_normalised = model.normalise(v, u)
    terms = roi_losses(logits, offsets, u, v_normalised)
    records = []
    for index, row in enumerate(rows):
        is_drawn = roles[row] in ("foreground", "background")
        near = bool(candidates.iou[row] > 0)
        records.append(
            {
                "role": str(roles[row]),
                "iou": rounded(candidates.iou[row]),
                "object": _name(subject, candidates.labels[row]) if near else None,
                "object_box": rounded(candidates.matched[row], 5) if near else None,
                "label": _name(subject, labels[index]) if is_drawn else None,
                "p": rounded(subject.scores[chosen[index], labels[index]]) if is_drawn else None,
                "classification": rounded(terms.classification[index]) if is_drawn else None,
            }
        )
    by_class = offsets.reshape(len(rows), -1, 4)
    denormalised = model.denormalise(offsets).reshape(len(rows), -1, 4)
    for index, smooth in zip(terms.foreground.tolist(), terms.coordinates, strict=True):
        of_label = (index, labels[index] - 1)
        x = by_class[of_label] - v_normalised[index]
        proposal = torch.from_numpy(candidates.boxes[rows[index]])[None]
        box = decode_boxes(proposal, denormalised[of_label][None], model.architecture.box_coding)
        records[index] |= {
            "t": rounded(denormalised[of_label]),
            "v": rounded(v[index]),
            "t_normalised": rounded(by_class[of_label]),
            "v_normalised": rounded(v_normalised[index]),
            "x": rounded(x),
            "smooth_l1": rounded(smooth),
            "l2": rounded(_l2(x)),
            "box_regression": rounded(smooth.sum()),
            "box": rounded(box[0, 0], 5),
        }
    return records


def _name(subject: Subject, label: int) -> str:
    return "background" if label == BACKGROUND else subject.classes[label - 1]


def _l2(x: Tensor) -> Tensor:
    """The loss of R-CNN and SPPnet, which equation 3 follows for |x| < 1."""
    return 0.5 * x * x


def _curves(rois: list[dict[str, Any]]) -> dict[str, Any]:
    """Both losses around 0, as far as the largest |t - v| of the RoIs."""
    largest = max((abs(x) for roi in rois for x in roi.get("x", ())), default=0.0)
    x = torch.linspace(-1, 1, _POINTS) * max(2, math.ceil(largest))
    return {"x": rounded(x), "smooth_l1": rounded(smooth_l1(x)), "l2": rounded(_l2(x))}
