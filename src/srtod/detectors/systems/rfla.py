"""RFLA on Cascade R-CNN (Xu et al., ECCV 2022): receptive-field anchors and hierarchical assignment."""

from srtod.detectors.config import DetectorConfig, RFLAConfig
from srtod.detectors.detector import Detector
from srtod.detectors.systems.cascade_rcnn import cascade_rcnn


def rfla(config: DetectorConfig) -> Detector:
    """Cascade R-CNN with the option ``rfla``; the published setting keeps 3000 ``rpn_proposals``."""
    return cascade_rcnn(config.model_copy(update={"rfla": config.rfla or RFLAConfig()}))
