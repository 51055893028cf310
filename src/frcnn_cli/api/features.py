"""Features of boxes: of one image, and written to a file for many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.api.arguments import parameters_of, path_of, public
from frcnn_cli.api.network import ReadyNetwork
from frcnn_cli.api.progress import OnProgress, reporter_for
from frcnn_cli.engine.detection.features.files import check_output
from frcnn_cli.engine.models.store import check_network
from frcnn_cli.engine.settings import PrecisionChoice
from frcnn_cli.engine.settings.features import BoxChoice, FeatureOptions, FeatureType, Layer
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.images import MAX_PIXELS

if TYPE_CHECKING:
    from frcnn_cli.engine.detection.features.run import FeatureFile
    from frcnn_proposals.base import Image, Proposals


@dataclass(frozen=True, eq=False)
class Features:
    """The features of N boxes of one image, named as in the files of `frcnn features`.

    boxes: float32 (N, 4), x1, y1, x2, y2, inclusive corners, in pixels of the image. features: (N,
    ...), float32 or float16. scores: float32 (N,), by which the boxes were selected, or those of
    the proposals; NaN without scores. cls_prob: float32 (N, K + 1), class probabilities, the
    background first; margins for SVMs. objects_id: int64 (N,), the best class, an index into
    `class_names`. objects_conf: float32 (N,), its probability. image_id: the file's name without
    suffix; empty for an array. image_w, image_h: size of the image in pixels.
    """

    boxes: NDArray[np.float32]
    features: NDArray[Any]
    scores: NDArray[np.float32]
    cls_prob: NDArray[np.float32]
    objects_id: NDArray[np.int64]
    objects_conf: NDArray[np.float32]
    image_id: str
    image_w: int
    image_h: int
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.boxes)


def features_of(
    ready: ReadyNetwork,
    options: FeatureOptions,
    image_id: str,
    pixels: Image,
    proposals: Proposals,
    proposals_given: bool,
) -> Features:
    """The features of the boxes of an image. proposals_given: as in FeatureOptions.resolved."""
    from frcnn_cli.engine.detection.features.extractor import Extractor

    loaded = ready.detector.loaded
    classifier = loaded.model.architecture.classifier
    settings = options.resolved(loaded.is_detector, classifier, proposals_given)
    values: dict[str, Any] = Extractor(ready.detector, settings).features(
        ready.prepared, pixels, proposals
    )
    height, width = pixels.shape[:2]
    return Features(
        **values,
        image_id=image_id,
        image_w=width,
        image_h=height,
        class_names=loaded.classes,
    )


@public
def extract_features(
    images: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    model: str | Path | None = None,
    backbone: str | None = None,
    weights: str | Path | None = None,
    layer: Layer | None = None,
    dtype: FeatureType = "float32",
    proposals: str | Path | None = None,
    source: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    boxes: BoxChoice | None = None,
    score_threshold: float | None = None,
    min_boxes: int | None = None,
    max_boxes: int | None = None,
    nms_iou: float | None = None,
    max_proposals: int | None = None,
    scales: Iterable[int] | None = None,
    precision: PrecisionChoice = "auto",
    runs_root: str | Path = "runs",
    device: str = "auto",
    max_pixels: int = MAX_PIXELS,
    progress: OnProgress | None = None,
) -> FeatureFile:
    """Write the features of the boxes of images to a file, as `frcnn features`.

    images: files, folders, globs, lists of paths and datasets. out: an .npz or .h5 file, or a
    folder with one .npz file per image. The same call resumes an interrupted one. model: a file, a
    run by its folder or name, or a shipped model; None is the newest run, or else voc. backbone: a
    network to use with its ImageNet weights instead, such as torchvision:resnet50. The other
    arguments are those of the command. Raises Error for invalid arguments; an image that fails is
    listed in `failures`.
    """
    from frcnn_cli.engine.datasets.inputs import find_images
    from frcnn_cli.engine.detection.features.extractor import make_extractor
    from frcnn_cli.engine.detection.features.run import extract_in_files
    from frcnn_cli.engine.models.backbone import network_in_team
    from frcnn_cli.engine.proposals.paths import check_outputs

    inputs = [str(text) for text in ([images] if isinstance(images, str | Path) else images)]
    target, file, root = Path(out), path_of(proposals), Path(runs_root)
    named, given = path_of(model), None if weights is None else str(weights)
    reporter = reporter_for(progress)
    files = find_images(inputs, allow_mismatch=True, reporter=reporter)
    check_output(target, file)
    check_network(named, backbone, given, root)
    check_outputs([target], [*inputs, str(named or ""), str(file or "")])
    options = FeatureOptions(layer, dtype, boxes, score_threshold, min_boxes, max_boxes)
    detection = DetectionOptions(
        precision=precision,
        scales=None if scales is None else tuple(scales),
        nms_iou=nms_iou,
        max_proposals=max_proposals,
    )
    with network_in_team(
        named, backbone, root, device, given, precision, options.reads_fc, reporter
    ) as (loaded, team):
        chosen = parameters_of(parameters)
        extractor = make_extractor(loaded, options, detection, file, source, chosen)
        return extract_in_files(extractor, files, target, max_pixels, team, reporter)
