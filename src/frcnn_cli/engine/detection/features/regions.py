"""The features of the boxes of one image, in blocks that bound the memory.

Shapes: N boxes, K classes (column 0 of class scores is the background).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frcnn_cli.engine.boxes import continuous
from frcnn_cli.engine.detection.features.rows import Block, Field
from frcnn_cli.engine.detection.views import Maps, class_scores, read_maps, run_heads
from frcnn_cli.engine.distributed.streams import to_device
from frcnn_cli.engine.network.layers.box_head import HeadOutputs
from frcnn_cli.engine.network.model import BLOCK_BYTES, FastRCNN
from frcnn_cli.engine.settings import DetectSettings
from frcnn_cli.engine.settings.features import FeatureSettings, Layer
from frcnn_kernels import batched_nms
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import InputError

Rows = NDArray[np.int64]


def fields_of(model: FastRCNN, settings: FeatureSettings, is_detector: bool) -> dict[str, Field]:
    """The fields of each box; those of class scores only for a detector."""
    shapes = {
        "pooled": model.pooled_shape,
        "fc6": model.architecture.hidden[:1],
        "fc7": model.architecture.hidden[1:],
    }
    single = np.dtype("<f4")
    fields = {
        "features": Field(np.dtype(settings.dtype).newbyteorder("<"), shapes[settings.layer]),
        "boxes": Field(single, (4,)),
        "scores": Field(single),
    }
    if is_detector:
        fields |= {
            "cls_prob": Field(single, (len(model.architecture.classes) + 1,)),
            "objects_id": Field(np.dtype("<i8")),
            "objects_conf": Field(single),
        }
    return fields


@torch.inference_mode()
def region_blocks(
    model: FastRCNN,
    image: Image,
    proposals: Proposals,
    detection: DetectSettings,
    settings: FeatureSettings,
    is_detector: bool = True,
) -> tuple[int, Iterator[Block]]:
    """The number of boxes of an RGB image, and their fields in blocks.

    detection: proposals, scales, nms_iou, max_per_class and max_proposals are used. is_detector:
    whether the blocks have the fields of class scores. Features of a box are those that the first
    head reads at that box: boxes are never moved.
    """
    limit = settings.max_boxes if settings.boxes == "proposals" else detection.proposals
    proposals = proposals.top(limit)
    if len(proposals) == 0:
        return 0, iter(())
    maps = read_maps(model, image, proposals.boxes, detection)
    if settings.boxes == "proposals":
        scores = proposals.scores
        if scores is None:
            scores = np.full(len(proposals), np.nan, np.float32)
        rows = np.arange(len(proposals))
    else:
        view = run_heads(maps, detection)
        chosen, scores = best_boxes(
            view.scores.cpu(), proposals.boxes[view.rows], detection, settings
        )
        rows = view.rows[chosen]
    known = None
    if is_detector and model.weak is not None:  # the scores depend on all RoIs of the image
        logits = maps.first().logits
        known = class_scores(model, logits, torch.from_numpy(maps.boxes))[torch.from_numpy(rows)]
    return len(rows), _blocks(maps, rows, scores, settings, is_detector, known)


def best_boxes(
    class_scores: Tensor,
    boxes: NDArray[np.float32],
    detection: DetectSettings,
    settings: FeatureSettings,
) -> tuple[Rows, NDArray[np.float32]]:
    """The indices of the best boxes, best first, and their scores, as bottom-up attention selects.

    class_scores: (N, K + 1). The score of a box is its highest score among the classes in which
    non-maximum suppression keeps the box. Boxes with at least the threshold are selected, within
    the limits of `settings`; boxes that are suppressed in every class come last.
    """
    objects = class_scores[:, 1:]
    best, rows = objects.topk(min(detection.max_per_class, len(boxes)), dim=0)
    labels = torch.arange(best.shape[1]).expand_as(best).flatten()
    best, rows = best.flatten(), rows.flatten()
    inclusive = torch.from_numpy(boxes)[rows]
    remaining = batched_nms(continuous(inclusive), best, labels, detection.nms_iou)
    suppressed = torch.full((len(boxes),), -math.inf)
    scores = suppressed.scatter_reduce(0, rows[remaining], best[remaining], "amax")
    # Suppressed boxes by their highest score: they are needed only to reach min_boxes.
    highest = objects.amax(dim=1)
    order = torch.from_numpy(np.lexsort((-highest.numpy(), -scores.numpy())))
    passed = int((scores >= settings.score_threshold).sum())
    most = len(boxes) if settings.max_boxes is None else settings.max_boxes
    chosen = order[: min(max(passed, settings.min_boxes), most)]
    return chosen.numpy(), torch.where(scores.isinf(), highest, scores)[chosen].numpy()


@torch.inference_mode()
def _blocks(
    maps: Maps,
    rows: Rows,
    scores: NDArray[np.float32],
    settings: FeatureSettings,
    is_detector: bool,
    known: Tensor | None,
) -> Iterator[Block]:
    """The fields of the RoIs at `rows` of the maps, in their order. scores: of each of them.

    known: class scores (N, K + 1) of these RoIs; None computes them.
    """
    per_box = math.prod(maps.model.pooled_shape) * maps.maps[0].element_size()
    size = max(1, BLOCK_BYTES // per_box)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        own = maps.only(rows[part])
        features, logits, offsets = own.each(
            to_device(own.rois, own.maps[0].device),
            lambda m, rois: _read(maps.model, m, rois, settings.layer, is_detector),
        )
        block: Block = {
            "features": _as_stored(features, settings),
            "boxes": own.boxes,
            "scores": scores[part],
        }
        if is_detector:
            found = (
                _class_scores(own, HeadOutputs(logits, offsets)) if known is None else known[part]
            )
            classes = found.cpu().numpy()
            block |= {
                "cls_prob": classes,
                "objects_id": classes[:, 1:].argmax(axis=1),
                "objects_conf": classes[:, 1:].max(axis=1),
            }
        yield block


def _read(
    model: FastRCNN, feature_map: Tensor, rois: Tensor, layer: Layer, is_detector: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The features of RoIs (N, 5), and outputs of the first head; empty without a detector."""
    values = {"pooled": model.pool(feature_map, rois)}
    if is_detector or layer != "pooled":
        values["fc6"] = model.fc6_of(values["pooled"])
    if is_detector or layer == "fc7":
        values["fc7"] = model.fc7_after(values["fc6"])
    if not is_detector:
        nothing = values["pooled"].new_zeros(len(rois), 0)
        return values[layer], nothing, nothing
    return values[layer], *model.siblings(values["fc7"])


def _class_scores(maps: Maps, outputs: HeadOutputs) -> Tensor:
    """The scores (N, K + 1) that detection uses: with a second head, the means of both."""
    model = maps.model
    scores = class_scores(model, outputs.logits, maps.rois[:, 1:])
    if model.second is None:
        return scores
    moved = model.refine(maps.rois.to(scores.device), *outputs)
    second = maps.second(model.second, moved)
    return (scores + class_scores(model, second.logits, moved[:, 1:])) / 2


def _as_stored(features: Tensor, settings: FeatureSettings) -> NDArray[np.generic]:
    values = features.float().cpu().numpy()
    if settings.dtype == "float32":
        return values
    with np.errstate(over="ignore"):
        stored = values.astype(np.float16)
    if np.isinf(stored).any():
        raise InputError(
            f"features of {settings.layer} reach {values.max():.3g}, more than float16 holds; "
            "use --dtype float32"
        )
    return stored
