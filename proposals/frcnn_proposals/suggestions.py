"""Suggestions for unknown names: commands, options, settings, sources, datasets, classes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

_COMPARED = 100  # letters; comparing longer names takes long
# Names of other tools, and ours: the first one that the command knows is suggested.
_SCORE = ("--score-threshold", "detect.score_threshold")
_ITERATIONS = ("--iterations", "schedule.iterations")
_IMAGES = ("sampling.images", "--set sampling.images=N")
_SCALE = ("--scale", "--scales", "preprocessing.scale")
_NMS = ("--nms-iou", "detect.nms_iou")
_MODEL = ("--model", "MODEL", "--init")
ALIASES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("demo", "infer", "inference", "predict"), ("detect",)),
    **dict.fromkeys(("evaluate", "test", "val", "validate"), ("eval",)),
    **dict.fromkeys(("fit", "finetune"), ("train", "--init")),
    **dict.fromkeys(("conf", "conf-thres", "confidence", "score", "score-thr"), _SCORE),
    **dict.fromkeys(("score-thresh-test", "threshold", "thresh"), _SCORE),
    **dict.fromkeys(("base-lr", "lr", "lr0"), ("--learning-rate", "schedule.learning_rate")),
    **dict.fromkeys(("iters", "max-iter", "max-iters", "steps"), _ITERATIONS),
    **dict.fromkeys(("batch", "batch-size", "ims-per-batch", "samples-per-gpu"), _IMAGES),
    **dict.fromkeys(("image-size", "img", "img-size", "imgsz", "min-size", "resize"), _SCALE),
    **dict.fromkeys(("iou", "iou-thres", "nms", "nms-thr", "nms-thresh-test"), _NMS),
    **dict.fromkeys(("detections-per-image", "max-det"), ("--top-k", "detect.top_k")),
    **dict.fromkeys(("checkpoint", "ckpt", "load-from", "model", "weights"), _MODEL),
    **dict.fromkeys(("image", "images", "img-dir", "input", "path"), ("IMAGE...", "IMAGES")),
    **dict.fromkeys(("arch", "net", "network"), ("--backbone", "backbone")),
    **dict.fromkeys(("amp", "bf16", "dtype", "fp16", "half"), ("--precision", "train.precision")),
    **dict.fromkeys(("data", "dataset", "imdb"), ("--dataset", "DATASET", "data.dataset")),
    **dict.fromkeys(("cfg", "config-file"), ("--config",)),
    **dict.fromkeys(("draw", "save", "save-img", "show", "visualize", "vis"), ("--viz",)),
    **dict.fromkeys(("save-crop", "crop"), ("--save-crops",)),
    **dict.fromkeys(("save-txt", "txt"), ("--yolo",)),
    **dict.fromkeys(("cuda", "gpu", "gpu-id", "gpus", "num-gpus"), ("--device",)),
    **dict.fromkeys(("j", "jobs", "num-workers", "threads"), ("--workers", "train.workers")),
    **dict.fromkeys(("exp-name", "name", "output", "output-dir", "project"), ("--out",)),
    **dict.fromkeys(("save-dir", "show-dir", "work-dir"), ("--out",)),
    **dict.fromkeys(("augment", "flip"), ("--tta",)),
    **dict.fromkeys(("cfg-options", "opts"), ("--set",)),
    **dict.fromkeys(("freeze", "frozen-stages"), ("train.frozen",)),
    "wd": ("schedule.weight_decay",),
    **dict.fromkeys(("lr-decay", "cos-lr", "scheduler"), ("schedule.decay",)),
    **dict.fromkeys(("optim", "solver"), ("schedule.optimizer",)),
    "include": ("--format",),
    "resume-from": ("--resume",),
    **dict.fromkeys(("opencv", "cv2"), ("opencv-selective-search",)),
    **dict.fromkeys(("anchors", "grid", "sliding-window"), ("dense",)),
    "ss": ("selective-search",),
}


def suggest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that `name` probably means, or None.

    That is a name of another tool in ALIASES, then the same name in other letters, then the
    closest one. An alias may be an option with a value: the option must be known.
    """
    known, name = list(known), name[:_COMPARED]
    for ours in ALIASES.get(name.lower().lstrip("-").replace("_", "-"), ()):
        if ours.split()[0] in known:
            return ours
    same = {_letters(other): other for other in reversed(known)}
    if found := same.get(_letters(name)):
        return found
    names = {_comparable(other): other for other in reversed(known)}
    near = get_close_matches(_comparable(name), names, 1, cutoff)
    return names[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """A sentence with the suggestion; without one, `otherwise` or the list of known names."""
    known = list(known)
    if (found := suggest(name, known)) is not None:
        return f"Did you mean '{found}'?"
    return f"Known: {', '.join(known)}." if otherwise is None else otherwise


def _comparable(name: str) -> str:
    return name.lower().lstrip("-")


def _letters(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())
