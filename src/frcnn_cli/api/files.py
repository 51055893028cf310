"""Detections in image files, for `Detector.detect_files`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn_cli.api.detections import DetectedFiles
from frcnn_cli.engine.reporter import Reporter

if TYPE_CHECKING:
    from frcnn_cli.api.lazy_network import LazyNetwork
    from frcnn_cli.engine.detection.outputs import DetectionOutputs


def detections_in_files(
    network: LazyNetwork,
    images: str | Path | Sequence[str | Path],
    outputs: DetectionOutputs,
    others: Sequence[str],
    max_pixels: int,
    reporter: Reporter,
) -> DetectedFiles:
    """Detections in `images`, given as for `frcnn detect`. others: further files that are read.

    Raises MisuseError, before the network is loaded, if an output would replace one of the inputs.
    """
    from frcnn_cli.engine.datasets.inputs import find_images
    from frcnn_cli.engine.detection.run import detect_in_files
    from frcnn_cli.engine.proposals.paths import check_outputs

    inputs = [str(text) for text in ([images] if isinstance(images, str | Path) else images)]
    files = find_images(inputs, reporter=reporter)
    outputs.reject_inputs(files)
    written = [path for path in (outputs.json_path, outputs.csv_path) if path is not None]
    check_outputs(written, [*inputs, *others], folders=outputs.folders)
    ready = network.get()
    detected = detect_in_files(ready.detector, files, outputs, max_pixels, reporter=reporter)
    paths = {image_id: Path(path) for image_id, path in files}
    detections = {
        image_id: ready.named(found, image_id, paths[image_id])
        for image_id, found in detected.found.items()
    }
    return DetectedFiles(detections, detected.failures)
