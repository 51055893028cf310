"""What a person sees of training as it goes."""

from __future__ import annotations

from collections import deque

from frcnn_cli.engine.training.run import StepReport

_STEPS = 20  # over which the pace is averaged


class TrainingLine:
    """The text beside the bar: losses, learning rate, pace, the last evaluation."""

    def __init__(self) -> None:
        self._recent: deque[StepReport] = deque(maxlen=_STEPS)

    def __call__(self, step: StepReport) -> str:
        self._recent.append(step)
        seconds = sum(each.seconds for each in self._recent)
        pace = sum(each.images for each in self._recent) / max(seconds, 1e-9)
        line = (
            f"loss {step.loss:.3f} (class {step.classification:.3f}, boxes "
            f"{step.box_regression:.3f}), rate {step.learning_rate:.2g}, {pace:.1f} images/s"
        )
        if step.evaluation is not None:
            line += f", val mAP {100 * step.evaluation:.1f}"
        return line
