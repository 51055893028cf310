"""Settings of training from image labels."""

from __future__ import annotations

from dataclasses import dataclass

from frcnn_cli.engine.settings.checks import check, check_least

# The classifiers that are trained from image labels.
WEAK = ("wsddn", "oicr")
# The default minimum score of a detection of WSDDN. Its scores of a class, before voting, sum to at
# most 1 over the RoIs of an image, so most are far below those of a softmax.
WSDDN_THRESHOLD = 0.05


@dataclass(frozen=True)
class WeakSettings:
    """Training from image labels.

    WSDDN: H. Bilen and A. Vedaldi, CVPR 2016. OICR: P. Tang et al., CVPR 2017.

    refinements: number of OICR's refined classifiers (section 4: 3). iou: a proposal whose IoU
    with the best proposal of a class is greater than this gets its class (section 4: 0.5). Both
    have no effect on WSDDN. voting: RoIs vote for WSDDN's scores of those that overlap them
    (see `voted_scores`), at test time, and where they supervise OICR's first refinement. The papers
    do not vote. seen_boxes: allow training to start from a detector, or from an order
    of proposals, that was learned from boxes.
    """

    refinements: int = 3
    iou: float = 0.5
    voting: bool = False
    seen_boxes: bool = False

    def __post_init__(self) -> None:
        check_least(self.refinements, 1, "the number of OICR's refinements")
        check(
            0 <= self.iou < 1, f"OICR's iou is {self.iou:g}; it must be at least 0 and less than 1"
        )
