"""Faster R-CNN with FPN (Ren et al., 2015; Lin et al., 2017), set as in MMDetection 3."""

from typing import Literal

from srtod.detectors.config import Parts
from srtod.detectors.systems.parts import feature_pyramid
from srtod.detectors.systems.two_stage import RCNNConfig, box_head, box_stage, rcnn_proposals
from srtod.heads.two_stage import TwoStageHead


class FasterRCNNConfig(RCNNConfig):
    """Faster R-CNN."""

    system: Literal["faster-rcnn"] = "faster-rcnn"

    def parts(self) -> Parts:
        """Levels P2 to P6, anchors in units of the stride, one box stage."""
        pyramid = feature_pyramid(self)
        stage = box_stage(self, pyramid, iou=0.5, beta=0.0, class_agnostic=False)
        rpn = rcnn_proposals(self, pyramid, beta=0.0, border=None)
        return Parts(pyramid, TwoStageHead(rpn=rpn, box_head=box_head(self, pyramid, [stage])))
