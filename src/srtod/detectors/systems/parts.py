"""Parts that systems of all kinds share, built from their options."""

from collections.abc import Sequence
from typing import Literal

from srtod.boxes.anchors import AnchorGenerator
from srtod.boxes.candidates import DetectionLimits
from srtod.detectors.config import DetectorConfig, FPNConfig
from srtod.pyramids.backbone import Backbone
from srtod.pyramids.base import Pyramid
from srtod.pyramids.fpn import FeaturePyramid
from srtod.support.errors import InputError

DEFAULT_ANCHOR_SCALE = (2.0,)
DEFAULT_ANCHOR_RATIOS = (0.5, 1.0, 2.0)
LEAST_KEPT = 1000
"""Proposals, and candidates of each level, that published settings keep in test."""


def backbone(config: DetectorConfig) -> Backbone:
    """The backbone that the configuration names or holds."""
    return Backbone(
        config.backbone,
        pretrained=config.pretrained_backbone,
        frozen_stages=config.frozen_stages,
        norm_eval=config.norm_eval,
    )


def feature_pyramid(
    config: FPNConfig, *, lowest: int = 4, coarser: Literal["subsample", "c5", "p5"] = "subsample"
) -> FeaturePyramid:
    """FPN on the backbone (see :class:`~srtod.pyramids.fpn.FeaturePyramid`)."""
    return FeaturePyramid(backbone(config), channels=config.pyramid_channels, lowest=lowest, coarser=coarser)


def scaled_anchors(
    config: DetectorConfig,
    pyramid: Pyramid,
    *,
    scales: Sequence[float] = DEFAULT_ANCHOR_SCALE,
    ratios: Sequence[float] = DEFAULT_ANCHOR_RATIOS,
    octave_scales: Sequence[float] = (1.0,),
) -> AnchorGenerator:
    """Anchors in units of the level's stride; each scale of the configuration times each octave scale.

    Raises:
        InputError: the scale is still to be chosen.
    """
    if config.anchor_scale == "auto":
        raise InputError("anchor_scale: auto is chosen from the boxes of a training; give a number here")
    return AnchorGenerator(
        strides=pyramid.strides,
        scales=[scale * octave for scale in config.anchor_scale or scales for octave in octave_scales],
        ratios=config.anchor_ratios or ratios,
    )


def enough_candidates(config: DetectorConfig, per_cell: int) -> int:
    """As many of a level as let each of the detections asked for be found by all anchors of a cell."""
    return max(LEAST_KEPT, per_cell * config.detections_per_image)


def detection_limits(config: DetectorConfig) -> DetectionLimits:
    """Which detections are given out."""
    return DetectionLimits(
        score_threshold=config.score_threshold,
        nms_iou=config.nms_iou,
        per_image=config.detections_per_image,
        soft_nms=config.soft_nms,
    )
