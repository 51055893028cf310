"""The page that walks through the detection in one image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frcnn_cli.api.arguments import parameters_of, path_of, public
from frcnn_cli.api.progress import OnProgress, reporter_for
from frcnn_cli.engine.pages.explain.run import explain_choice
from frcnn_cli.engine.pages.explain.truth import ImageChoice
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.images import MAX_PIXELS


@public
def explain(
    image: str | Path,
    model: str | Path | None = None,
    *,
    truth: str | Path | None = None,
    dataset: str | Path | None = None,
    split: str | None = None,
    data_root: str | Path | None = None,
    proposals: str | Path | None = None,
    source: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    score_threshold: float | None = None,
    top_k: int | None = None,
    nms_iou: float | None = None,
    box_regression: bool = True,
    box_voting: float | None = None,
    max_proposals: int | None = None,
    out: str | Path = "explain",
    runs_root: str | Path = "runs",
    max_pixels: int = MAX_PIXELS,
    progress: OnProgress | None = None,
) -> Path:
    """Write a page that walks through the detection in an image, and return its path.

    image: a file, or with a dataset also an image id. model: as in `Detector.load`. truth:
    annotation of the image in VOC's format (XML). dataset: one that has the image, instead of
    truth. split: None searches all. proposals, source, parameters and detection settings are those
    of `Detector.load`. out: folder for index.html. Raises Error if model, image and ground truth do
    not match.
    """
    reporter = reporter_for(progress)
    options = DetectionOptions(
        score_threshold=score_threshold,
        top_k=top_k,
        nms_iou=nms_iou,
        box_regression=box_regression,
        box_voting=box_voting,
        max_proposals=max_proposals,
    )
    name = None if dataset is None else str(dataset)
    choice = ImageChoice(str(image), path_of(truth), name, split, path_of(data_root))
    return explain_choice(
        choice,
        path_of(model),
        Path(runs_root),
        Path(out),
        options,
        path_of(proposals),
        source,
        parameters_of(parameters),
        max_pixels,
        reporter,
    ).page
