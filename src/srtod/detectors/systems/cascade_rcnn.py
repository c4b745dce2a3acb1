"""Cascade R-CNN with FPN (Cai & Vasconcelos, 2018), set as in MMDetection 3."""

from srtod.detectors.config import DetectorConfig
from srtod.detectors.detector import Detector
from srtod.detectors.systems import parts
from srtod.heads.two_stage import TwoStageHead


def cascade_rcnn(config: DetectorConfig) -> Detector:
    """Faster R-CNN with three box stages that ask for more and more overlap."""
    pyramid = parts.feature_pyramid(config)
    head = TwoStageHead(
        rpn=parts.rpn(config, pyramid, beta=1 / 9, border=0),
        box_head=parts.cascade_box_head(config, pyramid),
    )
    return parts.assemble(config, pyramid, head)
