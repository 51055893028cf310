"""Evaluation of a model, or of given detections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn_cli.api.arguments import parameters_of, public
from frcnn_cli.api.progress import OnProgress, reporter_for
from frcnn_cli.engine.models.store import find_model
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.settings import PrecisionChoice
from frcnn_cli.engine.settings.options import DataOptions, DetectionOptions
from frcnn_proposals.errors import MisuseError

if TYPE_CHECKING:
    from frcnn_cli.engine.evaluation.scores import Evaluation


@public
def evaluate(
    model: str | Path | None = None,
    dataset: str | Path | None = None,
    *,
    split: str | None = None,
    data_root: str | Path | None = None,
    proposals: str | Path | None = None,
    source: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    allow_mismatch: bool = False,
    top_k: int | None = None,
    nms_iou: float | None = None,
    precision: PrecisionChoice = "auto",
    flip: bool = False,
    scales: Iterable[int] | None = None,
    box_regression: bool = True,
    box_voting: float | None = None,
    max_proposals: int | None = None,
    coco: bool = True,
    save_detections: str | Path | None = None,
    runs_root: str | Path = "runs",
    device: str = "auto",
    progress: OnProgress | None = None,
) -> Evaluation:
    """The VOC and COCO averages of a model on a dataset, as `frcnn eval`.

    model: as in `Detector.load`. dataset: None is the dataset that the model was trained on. split:
    None is test if annotated, otherwise val. proposals: a proposal file; None computes them by
    `source` into the cache. parameters: of the source; without `source`, changes to those of the
    model's source. Detection settings are those of `Detector.load`. coco: whether to compute the
    COCO averages; without them, `Evaluation.coco` is None. save_detections: file of COCO results.
    An interrupted evaluation is resumed by the same call. Raises Error if model, dataset and
    proposals do not match.
    """
    reporter = reporter_for(progress)
    data = data_options(dataset, split, data_root, proposals, source, parameters, allow_mismatch)
    options = DetectionOptions(
        top_k=top_k,
        nms_iou=nms_iou,
        precision=precision,
        flip=flip,
        scales=None if scales is None else tuple(scales),
        box_regression=box_regression,
        box_voting=box_voting,
        max_proposals=max_proposals,
    )
    target = None if save_detections is None else Path(save_detections)
    path = find_model(None if model is None else Path(model), Path(runs_root))
    if target is not None:
        check_output(target, path, data, runs_root)
    from frcnn_cli.engine.distributed.devices import find_device
    from frcnn_cli.engine.evaluation.run import evaluate_model
    from frcnn_cli.engine.models.loaded import open_model

    loaded = open_model(path, Path(runs_root), find_device(device), precision, reporter)
    evaluation = evaluate_model(loaded, data, options, target, coco, reporter=reporter)
    assert evaluation is not None  # This process works alone.
    return evaluation


@public
def evaluate_detections(
    detections: str | Path | Mapping[str, Detections],
    dataset: str | Path,
    *,
    split: str | None = None,
    data_root: str | Path | None = None,
    coco: bool = True,
) -> Evaluation:
    """The VOC and COCO averages of detections, as `frcnn eval --detections`.

    detections: a file of COCO results, a folder of parts (`frcnn detect --parts`), text files per
    class (VOC devkit) or per image, or a mapping by image id. split: None is test if annotated,
    otherwise val. coco: whether to compute the COCO averages. Raises Error if they do not match the
    dataset.
    """
    from frcnn_cli.engine.evaluation.images import open_split
    from frcnn_cli.engine.evaluation.run import evaluate_file
    from frcnn_cli.engine.evaluation.scores import evaluate as score

    name, root = str(dataset), None if data_root is None else Path(data_root)
    if isinstance(detections, str | Path):
        return evaluate_file(Path(detections), name, split, root, coco=coco)
    opened = open_split(name, split, root)
    values: Mapping[str, Any] = detections
    for image_id, found in values.items():
        if not isinstance(found, Detections):
            kind = type(found).__name__
            raise MisuseError(f"The value of image id {image_id!r} must be Detections, not {kind}.")
        names = getattr(found, "class_names", ()) or opened.classes
        if names != opened.classes:
            raise MisuseError(
                f"These detections are of the classes {', '.join(names[:3])} ..., but {name} has "
                f"{', '.join(opened.classes[:3])} ..."
            )
    try:
        return score(opened, detections, coco)
    except ValueError as error:
        raise MisuseError(f"These detections do not fit {name}: {error}.") from error


def check_output(written: Path, model: Path, data: DataOptions, runs_root: str | Path) -> None:
    """Raise Error if the file cannot be written, or is the model, or belongs to the data."""
    from frcnn_cli.engine.proposals.paths import check_outputs

    inputs = [str(given) for given in (model, data.dataset, data.proposals) if given is not None]
    check_outputs([written], inputs, data.data_root, Path(runs_root))


def data_options(
    dataset: str | Path | None,
    split: str | None,
    data_root: str | Path | None,
    proposals: str | Path | None,
    source: str | None,
    parameters: Mapping[str, Any] | None,
    allow_mismatch: bool = False,
) -> DataOptions:
    """The engine's options for these arguments."""
    return DataOptions(
        dataset=None if dataset is None else str(dataset),
        split=split,
        data_root=None if data_root is None else Path(data_root),
        proposals=None if proposals is None else Path(proposals),
        source=source,
        parameters=parameters_of(parameters),
        allow_mismatch=allow_mismatch,
    )
