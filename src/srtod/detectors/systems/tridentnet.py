"""TridentNet (Li et al., ICCV 2019): Faster R-CNN on C4 with three branches, set as in MMDetection 3."""

from typing import Literal

from srtod.boxes.assigners.max_iou import MaxIoUAssigner
from srtod.boxes.coders import DeltaCoder
from srtod.boxes.samplers import RandomSampler
from srtod.detectors.config import Parts
from srtod.detectors.systems.parts import backbone, detection_limits, scaled_anchors
from srtod.detectors.systems.two_stage import TwoStageConfig, rpn
from srtod.heads.box_head import BoxStage, CascadeBoxHead
from srtod.heads.roi_pooling import RoIPooling
from srtod.heads.stage_predictor import StagePredictor
from srtod.heads.two_stage import TwoStageHead
from srtod.pyramids.trident import TridentPyramid

ANCHOR_SCALES = (2.0, 4.0, 8.0)
"""One level serves boxes of all sizes."""

GROUP = 768
"""Boxes that run through the last stage at once: those of two images in training, about 5 GB in ResNet-50."""


class TridentNetConfig(TwoStageConfig):
    """Faster R-CNN on C4.

    The width of the level is the backbone's, so it has no ``pyramid_channels`` and no ``box_channels``.
    """

    system: Literal["tridentnet"] = "tridentnet"

    def parts(self) -> Parts:
        """One level of stride 16, whose stage has three dilations; the last stage reads each box."""
        body = backbone(self)
        pyramid = TridentPyramid(body)
        last_stage = body.take_last_stage()
        stage = BoxStage(
            predictor=StagePredictor(
                stage=last_stage, channels=last_stage.channels, num_classes=len(self.classes)
            ),
            coder=DeltaCoder((0.1, 0.1, 0.2, 0.2)),
            assigner=MaxIoUAssigner(positive_iou=0.5, negative_iou=0.5),
            sampler=RandomSampler(self.box_samples, positive_share=0.5),
            num_classes=len(self.classes),
            add_objects=False,
        )
        box_head = CascadeBoxHead(
            pooling=RoIPooling(strides=pyramid.strides, output_size=14),
            stages=[stage],
            limits=detection_limits(self),
            group=GROUP,
        )
        anchors = scaled_anchors(self, pyramid, scales=ANCHOR_SCALES)
        proposals = rpn(self, pyramid, anchors, beta=0.0, border=None)
        return Parts(pyramid, TwoStageHead(rpn=proposals, box_head=box_head))
