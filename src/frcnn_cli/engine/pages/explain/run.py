"""The page on one image, from the names of the image, of its ground truth and of the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from frcnn_cli.engine.models.store import find_model
from frcnn_cli.engine.pages.explain.truth import ImageChoice
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.files import check_writable
from frcnn_proposals.images import MAX_PIXELS

if TYPE_CHECKING:
    from frcnn_cli.engine.pages.explain.page import Explained


def explain_choice(
    choice: ImageChoice,
    model: Path | None,
    runs_root: Path,
    folder: Path,
    options: DetectionOptions,
    proposals: Path | None = None,
    source: str | None = None,
    parameters: tuple[str, ...] = (),
    max_pixels: int = MAX_PIXELS,
    reporter: Reporter = SILENT,
) -> Explained:
    """Write the page to `folder`. The network runs on the CPU, in float32.

    model: as for find_model. options, proposals, source, parameters: as for make_detector. Raises
    MisuseError or InputError if model, image and ground truth do not match. A wrong name is an
    error before torch is imported.
    """
    check_writable(folder, is_folder=True)
    found = choice.find(reporter)
    find_model(model, runs_root)
    import torch

    from frcnn_cli.engine.detection.run import make_detector
    from frcnn_cli.engine.models.loaded import open_model
    from frcnn_cli.engine.pages.explain.page import explain_file

    loaded = open_model(model, runs_root, torch.device("cpu"), "float32", reporter)
    record = found.record_for(loaded)
    detector = make_detector(loaded, options, proposals, source, parameters=parameters)
    return explain_file(detector, record, folder, max_pixels, reporter)
