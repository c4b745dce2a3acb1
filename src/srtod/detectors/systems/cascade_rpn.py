"""Cascade RPN on Faster R-CNN with FPN (Vu et al., NeurIPS 2019), set as in MMDetection 3."""

from typing import Literal

from srtod.boxes.assigners.max_iou import MaxIoUAssigner
from srtod.boxes.assigners.region import RegionAssigner
from srtod.boxes.samplers import RandomSampler
from srtod.detectors.config import Parts
from srtod.detectors.systems.parts import feature_pyramid, scaled_anchors
from srtod.detectors.systems.two_stage import FPNTwoStageConfig, box_head, box_stage, proposal_limits
from srtod.heads.cascade_rpn import CascadeRPN
from srtod.heads.two_stage import TwoStageHead
from srtod.pyramids.base import Pyramid
from srtod.support.errors import InputError


class CascadeRPNConfig(FPNTwoStageConfig):
    """Faster R-CNN whose proposals are refined twice.

    They are good enough that the published setting keeps few: ``rpn_proposals`` of 300, with ``box_samples``
    of 256 and ``rpn_candidates`` of 2000 in training and 1000 in test.
    """

    system: Literal["cascade-rpn"] = "cascade-rpn"

    def parts(self) -> Parts:
        """Levels P2 to P6, one square anchor a cell, and one box stage that asks for more overlap."""
        pyramid = feature_pyramid(self)
        stage = box_stage(
            self,
            pyramid,
            iou=0.65,
            beta=1.0,
            class_agnostic=False,
            stds=(0.04, 0.04, 0.08, 0.08),
            class_weight=1.5,
        )
        rpn = _proposals(self, pyramid)
        return Parts(pyramid, TwoStageHead(rpn=rpn, box_head=box_head(self, pyramid, [stage])))


def _proposals(config: CascadeRPNConfig, pyramid: Pyramid) -> CascadeRPN:
    anchors = scaled_anchors(config, pyramid, ratios=(1.0,))
    if anchors.per_cell != 1:
        raise InputError("cascade-rpn has one anchor a cell: give one anchor_scale and one of anchor_ratios")
    return CascadeRPN(
        channels=pyramid.channels,
        anchors=anchors,
        regions=RegionAssigner(strides=pyramid.strides, anchor_scale=anchors.scales[0]),
        assigner=MaxIoUAssigner(positive_iou=0.7, negative_iou=0.7, minimum_iou=0.3, match_low_quality=True),
        sampler=RandomSampler(config.rpn_samples, positive_share=0.5),
        limits=proposal_limits(config, anchors, nms_iou=0.8),
    )
