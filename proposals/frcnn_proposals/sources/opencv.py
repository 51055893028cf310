"""OpenCV's selective search (cv2.ximgproc) as a source."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import InputError, MisuseError, reason
from frcnn_proposals.sources.working_size import WORKING_PIXELS, search_at_working_size

MODES = ("fast", "quality")
# OpenCV's defaults for both modes, stored with the boxes.
_BASE_K, _INCREMENT_K, _SIGMA = 150, 150, 0.8
# OpenCV ranks regions with C's rand(). Without a fixed seed the order would depend on the number of
# images that the process has seen. 1 is the state at the start of every process.
_RAND_SEED = 1
_RAND_LOCK = threading.Lock()


class OpenCVSelectiveSearch:
    """Selective search (Uijlings et al., IJCV 2013) as implemented in OpenCV; slow but well known.

    mode: "fast" (about 2,500 boxes for a VOC image) or "quality" (about 10,000). working_pixels:
    larger images are searched at a reduced size of this many pixels; None never reduces them.
    Boxes are in OpenCV's order, which is partly random and prefers large regions.
    Raises InputError if cv2.ximgproc is missing, MisuseError for an invalid mode or number.
    """

    name = "opencv-selective-search"
    thread_safe = True
    only_reads = True

    def __init__(self, mode: str = "fast", working_pixels: int | None = WORKING_PIXELS) -> None:
        if mode not in MODES:
            raise MisuseError(f"unknown mode {mode!r} of {self.name}; choose fast or quality")
        if working_pixels is not None and working_pixels < 1:
            raise MisuseError(
                f"{self.name}: working_pixels must be at least 1, not {working_pixels}"
            )
        self.mode = mode
        self.working_pixels = working_pixels
        self.version = _ximgproc().__version__

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {
            "mode": self.mode,
            "base_k": _BASE_K,
            "increment_k": _INCREMENT_K,
            "sigma": _SIGMA,
            "rand_seed": _RAND_SEED,
            "working_pixels": self.working_pixels,
        }

    def propose(self, image: Image) -> Proposals:
        """Boxes of an RGB image (H, W, 3) uint8, without scores."""
        return Proposals(search_at_working_size(image, self.working_pixels, self._search))

    def _search(self, image: Image) -> NDArray[np.int64]:
        search = _ximgproc().ximgproc.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(np.ascontiguousarray(image[:, :, ::-1]))  # OpenCV expects BGR
        if self.mode == "fast":
            search.switchToSelectiveSearchFast(_BASE_K, _INCREMENT_K, _SIGMA)
        else:
            search.switchToSelectiveSearchQuality(_BASE_K, _INCREMENT_K, _SIGMA)
        # One state of rand() serves the whole process: another thread would change the order.
        with _RAND_LOCK:
            _seed_c_rand(_RAND_SEED)
            found = search.process()
        x, y, width, height = np.asarray(found, np.int64).reshape(-1, 4).T
        boxes = np.stack((x, y, x + width - 1, y + height - 1), axis=1)
        _, first = np.unique(boxes, axis=0, return_index=True)
        return boxes[np.sort(first)]


def _ximgproc() -> Any:
    """The cv2 module. Raises InputError if it is missing or has no selective search."""
    try:
        import cv2
    except ImportError as error:
        raise InputError(
            f"opencv-selective-search needs OpenCV, which cannot be imported ({reason(error)});\n"
            "install it: pip install opencv-contrib-python"
        ) from error
    segmentation = getattr(getattr(cv2, "ximgproc", None), "segmentation", None)
    if not hasattr(segmentation, "createSelectiveSearchSegmentation"):
        raise InputError(
            "this OpenCV has no cv2.ximgproc, which contains selective search; replace it:\n"
            "pip uninstall -y opencv-python opencv-python-headless opencv-contrib-python && "
            "pip install opencv-contrib-python"
        )
    return cv2


def _seed_c_rand(seed: int) -> None:
    library = ctypes.CDLL("ucrtbase" if os.name == "nt" else None)
    library.srand(ctypes.c_uint(seed))
