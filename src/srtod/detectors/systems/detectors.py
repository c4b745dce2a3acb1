"""DetectoRS on Cascade R-CNN (Qiao et al., CVPR 2021), set as in MMDetection 3."""

from srtod.detectors.config import DetectorConfig
from srtod.detectors.detector import Detector
from srtod.detectors.systems import parts
from srtod.heads.two_stage import TwoStageHead
from srtod.pyramids.backbone import Backbone
from srtod.pyramids.recursive import RecursiveFeaturePyramid
from srtod.pyramids.switchable import standardise_weights


def detectors(config: DetectorConfig) -> Detector:
    """Cascade R-CNN on a recursive feature pyramid of two ResNets with switchable atrous convolution."""
    pyramid = RecursiveFeaturePyramid(_backbone(config), _backbone(config), channels=config.pyramid_channels)
    head = TwoStageHead(
        rpn=parts.rpn(config, pyramid, beta=1 / 9, border=0),
        box_head=parts.cascade_box_head(config, pyramid),
    )
    return parts.assemble(config, pyramid, head)


def _backbone(config: DetectorConfig) -> Backbone:
    return standardise_weights(parts.backbone(config), switchable_atrous=config.switchable_atrous)
