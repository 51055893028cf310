"""Fast R-CNN from Python: `frcnn.Detector.load("runs/x").detect("street.jpg").show()`.

Boxes are float32 (N, 4): x1, y1, x2, y2, 0-based, inclusive corners, in pixels of the image.
Errors that a user can cause are subclasses of `frcnn.Error`. Names are loaded at first use, so
that `import frcnn` takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Its import sets how threads wait, which has to be done before torch is imported.
from frcnn_cli.api import __version__

if TYPE_CHECKING:
    from frcnn_cli.api.columns import Proposer
    from frcnn_cli.api.compression import compress
    from frcnn_cli.api.data import find_dataset, generate_dataset
    from frcnn_cli.api.detections import DetectedFiles, Detection, Detections
    from frcnn_cli.api.detector import Detector
    from frcnn_cli.api.evaluation import evaluate, evaluate_detections
    from frcnn_cli.api.exchange import export
    from frcnn_cli.api.explain import explain
    from frcnn_cli.api.features import Features, extract_features
    from frcnn_cli.api.progress import Progress
    from frcnn_cli.api.proposals import propose, read_proposals
    from frcnn_cli.api.training import resume, train
    from frcnn_cli.engine.compression.choose import CompressedModel
    from frcnn_cli.engine.detection.features.run import FeatureFile
    from frcnn_cli.engine.evaluation.scores import Evaluation
    from frcnn_cli.engine.exchange.comparison import Export
    from frcnn_cli.engine.models.shipped.table import ListedModel, list_models
    from frcnn_cli.engine.proposals.run import ProposeResult
    from frcnn_cli.engine.records import Dataset, GroundTruth, ImageRecord
    from frcnn_cli.engine.training.run import Trained
    from frcnn_proposals.base import Proposals
    from frcnn_proposals.errors import Error, InputError, MisuseError

# The names of each module.
_MODULES = {
    "frcnn_cli.api.columns": ("Proposer",),
    "frcnn_cli.api.compression": ("compress",),
    "frcnn_cli.api.data": ("find_dataset", "generate_dataset"),
    "frcnn_cli.api.detections": ("DetectedFiles", "Detection", "Detections"),
    "frcnn_cli.api.detector": ("Detector",),
    "frcnn_cli.api.evaluation": ("evaluate", "evaluate_detections"),
    "frcnn_cli.api.exchange": ("export",),
    "frcnn_cli.api.explain": ("explain",),
    "frcnn_cli.api.features": ("Features", "extract_features"),
    "frcnn_cli.api.progress": ("Progress",),
    "frcnn_cli.api.proposals": ("propose", "read_proposals"),
    "frcnn_cli.api.training": ("resume", "train"),
    "frcnn_cli.engine.compression.choose": ("CompressedModel",),
    "frcnn_cli.engine.detection.features.run": ("FeatureFile",),
    "frcnn_cli.engine.evaluation.scores": ("Evaluation",),
    "frcnn_cli.engine.exchange.comparison": ("Export",),
    "frcnn_cli.engine.models.shipped.table": ("ListedModel", "list_models"),
    "frcnn_cli.engine.proposals.run": ("ProposeResult",),
    "frcnn_cli.engine.records": ("Dataset", "GroundTruth", "ImageRecord"),
    "frcnn_cli.engine.training.run": ("Trained",),
    "frcnn_proposals.base": ("Proposals",),
    "frcnn_proposals.errors": ("Error", "InputError", "MisuseError"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "CompressedModel",
    "Dataset",
    "DetectedFiles",
    "Detection",
    "Detections",
    "Detector",
    "Error",
    "Evaluation",
    "Export",
    "FeatureFile",
    "Features",
    "GroundTruth",
    "ImageRecord",
    "InputError",
    "ListedModel",
    "MisuseError",
    "Progress",
    "Proposals",
    "ProposeResult",
    "Proposer",
    "Trained",
    "__version__",
    "compress",
    "evaluate",
    "evaluate_detections",
    "explain",
    "export",
    "extract_features",
    "find_dataset",
    "generate_dataset",
    "list_models",
    "propose",
    "read_proposals",
    "resume",
    "train",
]


if not TYPE_CHECKING:  # Type checkers would take every name for one of this function's.

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_MODULE_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
