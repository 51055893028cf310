"""Default settings of training and detection per backbone; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from frcnn_cli.engine.settings import (
    DetectSettings,
    Preprocessing,
    Sampling,
    Schedule,
    TrainSettings,
)
from frcnn_cli.engine.settings.training import CASCADE_IOU, RANKED_ROIS


@dataclass(frozen=True)
class BackboneDefaults:
    """The default settings of one backbone.

    preprocessing: of its ImageNet weights, at its training scale. train: of training. detect: of
    detection. bfloat16: whether bfloat16 was measured to be faster than float32 in training and
    detection, and as accurate (docs/training-speed.md).
    """

    name: str
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    train: TrainSettings = field(default_factory=TrainSettings)
    detect: DetectSettings = field(default_factory=DetectSettings)
    bfloat16: bool = False


TORCHVISION = "torchvision:"  # prefix of the names of torchvision's networks
# Blue, green, red in 0..255 minus their means over ImageNet, then resized.
CAFFE_PIXELS = Preprocessing(
    channels="bgr",
    divisor=1.0,
    mean=(102.9801, 115.9465, 122.7717),
    std=(1.0, 1.0, 1.0),
    resize="float32",
)


def _efficientnet_lite(name: str) -> BackboneDefaults:
    return BackboneDefaults(
        f"efficientnet_{name}",
        # The published networks were trained on (pixel - 127) / 128.
        Preprocessing(scale=480, max_size=800, divisor=1.0, mean=(127.0,) * 3, std=(128.0,) * 3),
        TrainSettings(
            schedule=Schedule(
                iterations=9000,
                optimizer="adamw",
                learning_rate=0.0003,
                decay="cosine",
                warmup=200,
                weight_decay=0.05,
                shorten_below=1000,
            ),
            sampling=Sampling(rois_per_image=128, scales=(320, 400, 480)),
            cascade_iou=CASCADE_IOU,
            ranked_rois=RANKED_ROIS,
            averaging=0.998,
        ),
        DetectSettings(nms_iou=0.35, max_per_class=300, box_voting=0.7, precision="auto"),
        bfloat16=True,
    )


def _efficientnet_lite_c5(name: str) -> BackboneDefaults:
    """A larger scale, since the map has stride 32, and fewer iterations, since they take longer."""
    base = _efficientnet_lite(name)
    return replace(
        base,
        preprocessing=replace(base.preprocessing, scale=800, max_size=1200),
        train=replace(
            base.train,
            schedule=replace(base.train.schedule, iterations=6000),
            sampling=replace(base.train.sampling, scales=(640, 720, 800)),
        ),
    )


DEFAULTS = {
    defaults.name: defaults
    for defaults in (
        *map(_efficientnet_lite, ("lite0", "lite1", "lite2")),
        *map(_efficientnet_lite_c5, ("lite0_c5", "lite2_c5")),
        BackboneDefaults("caffenet", CAFFE_PIXELS),
        BackboneDefaults("vgg_cnn_m_1024", CAFFE_PIXELS),
        BackboneDefaults("vgg16"),
        BackboneDefaults("alexnet"),
    )
}
