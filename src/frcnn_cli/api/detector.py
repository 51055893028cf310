"""A detector: from images to boxes, with the settings of `frcnn detect`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from frcnn_cli.api.arguments import check_arguments, names_of, parameters_of, path_of, public
from frcnn_cli.api.detections import DetectedFiles, Detections
from frcnn_cli.api.images import (
    Boxes,
    BoxesById,
    ImageLike,
    boxes_for_each,
    image_id_of,
)
from frcnn_cli.api.lazy_network import LazyNetwork, load_network
from frcnn_cli.api.network import Setting
from frcnn_cli.api.progress import OnProgress, reporter_for
from frcnn_cli.engine.models.shipped.table import shipped_name, shipped_path
from frcnn_cli.engine.models.store import find_model
from frcnn_cli.engine.parts.rows import Columns, Item, columns_of, items_of
from frcnn_cli.engine.settings import PrecisionChoice
from frcnn_cli.engine.settings.features import FeatureOptions, FeatureType, Layer
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.formats.parts.row import Row
from frcnn_proposals.images import MAX_PIXELS

if TYPE_CHECKING:
    from frcnn_cli.api.features import Features


@dataclass(frozen=True)
class Detector:
    """A model and its detection settings; create it with `Detector.load`.

    Several threads may use it at once. It pickles as its path and settings, without the weights.

    path: of the model file. options: changes to the model's own settings. device: auto, cpu, cuda
    or cuda:N. proposals: a proposal file. source: computes proposals if none are given; None is the
    source that the model was trained with. max_pixels: limit of an image file. classes: to return;
    None for all. parameters: of the source, as NAME=VALUE.
    """

    path: Path
    options: DetectionOptions = field(default_factory=DetectionOptions)
    device: str = "auto"
    proposals: Path | None = None
    source: str | None = None
    max_pixels: int = MAX_PIXELS
    classes: tuple[str, ...] | None = None
    parameters: tuple[str, ...] = ()
    _network: LazyNetwork = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | Path):
            raise MisuseError(f"path must be a path, not {self.path!r:.200}.")
        self._use_network(None)

    @classmethod
    @public
    def load(
        cls,
        model: str | Path | None = None,
        *,
        score_threshold: float | None = None,
        classes: str | Iterable[str] | None = None,
        top_k: int | None = None,
        nms_iou: float | None = None,
        precision: PrecisionChoice = "auto",
        flip: bool = False,
        scales: Iterable[int] | None = None,
        box_regression: bool = True,
        box_voting: float | None = None,
        max_proposals: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        proposals: str | Path | None = None,
        source: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        device: str = "auto",
        runs_root: str | Path = "runs",
        max_pixels: int = MAX_PIXELS,
    ) -> Detector:
        """Load a model: a file, a run by its folder or name, a shipped model such as "voc", or None
        for the newest run, or else for voc.

        Settings are those of `frcnn detect`; None keeps the model's value. score_threshold: minimum
        score, by default 0.5, 0.05 for WSDDN, or a margin of 0 for SVMs. classes: names of the
        classes to return, as a list or as `person,dog`; None for all. top_k: maximum detections per
        image. nms_iou: suppress a box if its IoU with a better box is higher. flip: also use the
        mirrored image (`--tta flip`). scales: lengths of the shorter side; empty for the model's
        single scale. box_regression: False keeps the boxes of the proposals. box_voting: minimum
        IoU; 0 turns it off. max_proposals: best proposals that the heads of a model with a ranker
        process. tile: side of the tiles to detect in besides the whole image, in pixels; they
        overlap by `overlap`, a share of it, by default 0.2. proposals: a proposal file, read by
        image id. parameters: of the source, such as {"mode": "quality"}; without `source`, changes
        to those of the model's source. runs_root: folder of the runs. Raises Error if the model is
        not found or a setting is out of range.
        """
        options = DetectionOptions(
            score_threshold=score_threshold,
            top_k=top_k,
            nms_iou=nms_iou,
            precision=precision,
            flip=flip,
            scales=None if scales is None else tuple(scales),
            box_regression=box_regression,
            box_voting=box_voting,
            max_proposals=max_proposals,
            tile=tile,
            overlap=overlap,
        )
        path = find_model(None if model is None else Path(model), Path(runs_root)).resolve()
        file = None if proposals is None else Path(proposals).resolve()
        names = names_of(classes)
        given = parameters_of(parameters)
        detector = cls(path, options, device, file, source, max_pixels, names, given)
        detector._network.get()
        return detector

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of labels 1..K."""
        return self._network.get().detector.loaded.classes

    @property
    def identity(self) -> dict[str, Any]:
        """Everything except the images that its detections depend on, as JSON values."""
        return {**self._network.get().identity, "max_pixels": self.max_pixels}

    @public
    def with_settings(self, **changes: Any) -> Detector:
        """The same model with other settings, named as in `load`; weights are shared.

        Raises MisuseError for an unknown name or a value out of range.
        """
        known = {"classes", *(each.name for each in fields(DetectionOptions))} - {"precision"}
        if unknown := sorted(set(changes) - known):
            raise MisuseError(
                f"Unknown setting {unknown[0]!r}. Settings are "
                f"{', '.join(sorted(known))}; others are arguments of Detector.load."
            )
        check_arguments(Detector.load, changes)
        if changes.get("scales") is not None:
            changes["scales"] = tuple(changes["scales"])
        classes = names_of(changes.pop("classes", self.classes))
        detector = replace(self, options=replace(self.options, **changes), classes=classes)
        network = self._network.with_setting(detector._setting)
        object.__setattr__(detector, "_network", network)
        return detector

    @overload  # A string is also a sequence of strings.
    def detect(  # type: ignore[overload-overlap]
        self,
        image: ImageLike,
        proposals: Boxes | BoxesById | None = None,
        *,
        progress: OnProgress | None = None,
    ) -> Detections: ...

    @overload
    def detect(
        self,
        image: Iterable[ImageLike],
        proposals: Sequence[Boxes] | BoxesById | None = None,
        *,
        progress: OnProgress | None = None,
    ) -> list[Detections]: ...

    @public
    def detect(
        self, image: Any, proposals: Any = None, *, progress: OnProgress | None = None
    ) -> Detections | list[Detections]:
        """Detections in an image, or a list of them for several images.

        An image is a path, an array of uint8 in RGB (H, W, 3) or grey (H, W), or a Pillow image.
        OpenCV reads BGR: convert it by `image[..., ::-1]`. Several images are read, and their
        proposals computed, in threads ahead of the network.

        proposals: boxes (N, 4) of the image (x1, y1, x2, y2, 0-based, inclusive); a list of such
        boxes for several images; or a mapping by image id, as `read_proposals` returns. By
        default they come from the detector's file or source. Raises Error if an image cannot be
        read, or its proposals cannot be computed.
        """
        # Open files, arrays and tensors are iterable, too, but they are not lists of images.
        is_one = hasattr(image, "read") or getattr(image, "ndim", 1) != 1
        if is_one or isinstance(image, str | bytes) or not isinstance(image, Iterable):
            return self._network.get().detect_one(
                image, proposals, self.max_pixels, reporter_for(progress)
            )
        if isinstance(image, Mapping):
            raise MisuseError("Images are a list, not a mapping. Give list(images.values()).")
        image = list(image)
        given = boxes_for_each(len(image), proposals)
        return self._network.get().detect_all(image, given, self.max_pixels, reporter_for(progress))

    @public
    def detect_files(
        self,
        images: str | Path | Sequence[str | Path],
        *,
        json: str | Path | None = None,
        csv: str | Path | None = None,
        yolo: str | Path | None = None,
        viz: str | Path | None = None,
        save_crops: str | Path | None = None,
        progress: OnProgress | None = None,
    ) -> DetectedFiles:
        """Detections in files, folders, globs, lists of paths and datasets, as `frcnn detect`.

        A file that fails does not stop the others. json: file of COCO results; each image's
        detections are stored next to it at once, so that the same call resumes an interrupted one.
        csv: file with one row per detection. yolo, viz, save_crops: folders for one text file per
        image, the annotated images, and the pixels of each box.
        """
        from frcnn_cli.api.files import detections_in_files
        from frcnn_cli.engine.detection.outputs import DetectionOutputs

        outputs = DetectionOutputs(*map(path_of, (json, csv, viz, save_crops, yolo)))
        others = (str(self.path), str(self.proposals or ""))
        reporter = reporter_for(progress)
        return detections_in_files(
            self._network, images, outputs, others, self.max_pixels, reporter
        )

    @public
    def features(
        self,
        image: ImageLike,
        boxes: Boxes | BoxesById | None = None,
        *,
        layer: Layer = "fc7",
        dtype: FeatureType = "float32",
        score_threshold: float | None = None,
        min_boxes: int | None = None,
        max_boxes: int | None = None,
    ) -> Features:
        """The features of boxes of an image: fc7, fc6 or the pooled map (`layer`).

        boxes: as the proposals of `detect`. None takes those of the detector's file or source, or,
        if it has neither, its own best boxes, selected as by `frcnn features`, without tiles.
        """
        from frcnn_cli.api.features import features_of

        ready = self._network.get()
        image_id = image_id_of(image)
        full, proposals = ready.prepare(image, image_id, boxes, self.max_pixels, for_features=True)
        given = any(each is not None for each in (boxes, self.proposals, self.source))
        options = FeatureOptions(layer, dtype, None, score_threshold, min_boxes, max_boxes)
        return features_of(ready, options, image_id, full.pixels, proposals, given)

    def rows(self, items: Iterable[Item], threads: int | None = None) -> Iterator[Row]:
        """The detections in each of `items`, in order, or the error of the image."""
        return self._network.get().rows(items, self.max_pixels, threads)

    @public
    def __call__(self, batch: Columns | Any) -> dict[str, list[Any]]:
        """Detections in a batch of columns, as Ray Data, Spark, Dask and a DataLoader map them.

        batch: lists or arrays of equal length: `id`; one of `image` (arrays), `bytes` (of image
        files) and `path`; and optionally `boxes`, the proposals of each image. Returns `id`,
        `boxes` (N, 4), `scores` (N,), `labels` (N,) and `error`, which is None, or why an image
        has no detections. Raises MisuseError for a batch without these columns.
        """
        return columns_of(self.rows(items_of(batch)))

    def __reduce__(self) -> tuple[Any, ...]:
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.init}
        # The package is elsewhere on another machine.
        path = values.pop("path")
        return _unpickled, (shipped_name(path) or path, self._network.digest(), values)

    def _use_network(self, digest: str | None) -> None:
        load = partial(load_network, self.path, self.device, self._setting)
        object.__setattr__(self, "_network", LazyNetwork(load, self.path, digest))

    @property
    def _setting(self) -> Setting:
        return Setting(self.options, self.proposals, self.source, self.classes, self.parameters)


def _unpickled(model: str | Path, digest: str, values: dict[str, Any]) -> Detector:
    """The detector that was pickled. model: its path, or the name of a shipped model."""
    path = model if isinstance(model, Path) else shipped_path(model) or Path(model)
    detector = Detector(path, **values)
    detector._use_network(digest)
    return detector
