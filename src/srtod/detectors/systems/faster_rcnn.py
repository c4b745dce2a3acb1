"""Faster R-CNN with FPN (Ren et al., 2015; Lin et al., 2017), set as in MMDetection 3."""

from srtod.detectors.config import DetectorConfig
from srtod.detectors.detector import Detector
from srtod.detectors.systems import parts
from srtod.heads.two_stage import TwoStageHead


def faster_rcnn(config: DetectorConfig) -> Detector:
    """Levels P2 to P6, anchors in units of the stride, one box stage."""
    pyramid = parts.feature_pyramid(config)
    stage = parts.box_stage(config, pyramid, iou=0.5, beta=0.0, class_agnostic=False)
    head = TwoStageHead(
        rpn=parts.rpn(config, pyramid, beta=0.0, border=None),
        box_head=parts.box_head(config, pyramid, [stage]),
    )
    return parts.assemble(config, pyramid, head)
