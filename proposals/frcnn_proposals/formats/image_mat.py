"""The .mat files of one image each: boxes, and in some formats scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from frcnn_proposals.formats.base import Parsed, PerImageFormat
from frcnn_proposals.formats.containers.tables import cells, columns_of, numbers, tables
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout
from frcnn_proposals.wording import counted

_BUCKETS = (4, 14, 22)  # lengths of the folder names: 4 for VOC, 14 and 22 for COCO


def without_bucket(path: PurePath) -> PurePath:
    """The path without its last folder, if this only divides the files by their first characters.

    hosang/detection-proposals and rbgirshick/py-faster-rcnn lib/datasets/coco.py do so.
    """
    bucket = path.parent.name
    is_bucket = len(bucket) in _BUCKETS and path.name.startswith(bucket)
    return path.parent.parent / path.name if is_bucket else path


@dataclass(frozen=True)
class BoxesMat(PerImageFormat):
    """The variable `boxes`.

    scored: the boxes can also be in `bboxes`, and `scores` can be present. suffix: the end of the
    file name that does not belong to the id. buckets: see without_bucket.
    """

    name: str
    title: str
    layouts: tuple[BoxLayout, ...]
    scored: bool = False
    suffix: str = ""
    buckets: bool = False

    def parse(self, content: Content) -> Parsed | None:
        variables = content.variables
        if "num_candidates" in variables or ("scores" in variables and not self.scored):
            return None
        boxes = numbers(
            variables.get("bboxes" if self.scored and "bboxes" in variables else "boxes")
        )
        if boxes is None:
            return None
        scores = columns_of(variables.get("scores"), len(boxes))
        return Parsed([boxes], None if scores is None else [scores], [self.id_of(content.name)])

    def id_of(self, path: PurePath) -> str:
        path = without_bucket(path) if self.buckets else path
        return super().id_of(path).removesuffix(self.suffix)


# rbgirshick/fast-rcnn lib/datasets/pascal_voc.py, _load_selective_search_IJCV_roidb
IJCV = BoxesMat("ijcv-mat", "IJCV selective search <id>.mat (boxes)", (BoxLayout("xyxy", 1),))
# rbgirshick/fast-rcnn tools/demo.py; only the base differs from IJCV
DEMO = BoxesMat(
    "demo-mat", "Fast R-CNN demo <id>_boxes.mat (boxes)", (BoxLayout("xyxy", 0),), suffix="_boxes"
)
# rbgirshick/py-faster-rcnn lib/datasets/coco.py: boxes as downloaded. jponttuset/mcg: bboxes (up,
# left, down, right) and scores of a new run
MCG = BoxesMat(
    "mcg-mat",
    "MCG <id>.mat (boxes, or bboxes and scores)",
    (BoxLayout("yxyx", 1),),
    scored=True,
    buckets=True,
)


class HosangMat(PerImageFormat):
    """hosang/detection-proposals README and shared/get_candidates.m.

    A method without ranking was run several times, for different counts, so `boxes` and `scores`
    are cell arrays. The run with the most boxes is used.
    """

    name = "hosang-mat"
    title = "Hosang et al. <id>.mat (boxes, scores, num_candidates)"
    layouts = (BoxLayout("xyxy", 1),)

    def parse(self, content: Content) -> Parsed | None:
        variables = content.variables
        if not {"boxes", "scores", "num_candidates"} <= variables.keys():
            return None
        runs = cells(variables["boxes"])
        run_scores = cells(variables["scores"])
        if runs is None:
            runs, run_scores = [variables["boxes"]], [variables["scores"]]
        if run_scores is None or len(run_scores) != len(runs):
            run_scores = [None] * len(runs)
        pairs = zip(map(numbers, runs), run_scores, strict=True)
        found = [(boxes, scores) for boxes, scores in pairs if boxes is not None]
        if not found:
            return None
        boxes, scores = max(found, key=lambda run: len(run[0]))
        scores = columns_of(scores, len(boxes))
        most = counted(len(boxes), "box", "boxes")
        remark = f"the largest of {counted(len(runs), 'run')} is used, with {most}"
        return Parsed(
            [boxes],
            None if scores is None else [scores],
            [self.id_of(content.name)],
            remarks=(remark,) if len(runs) > 1 else (),
        )

    def id_of(self, path: PurePath) -> str:
        return super().id_of(without_bucket(path))


class EdgeBoxesMat(PerImageFormat):
    """pdollar/edges edgeBoxes.m: `bbs`, N x 5 with the score last, or a cell of them."""

    name = "edgeboxes-mat"
    title = "EdgeBoxes .mat (bbs)"
    layouts = (BoxLayout("xywh", 1),)

    def parse(self, content: Content) -> Parsed | None:
        bbs = content.variables.get("bbs")
        one = numbers(bbs, columns=(5,))
        many = [one] if one is not None else tables(bbs, columns=(5,))
        if many is None:
            return None
        return Parsed(
            [table[:, :4] for table in many],
            [table[:, 4] for table in many],
            None if one is None else [self.id_of(content.name)],
        )
