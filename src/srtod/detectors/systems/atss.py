"""ATSS (Zhang et al., CVPR 2020), set as in MMDetection 3."""

from srtod.detectors.config import DetectorConfig
from srtod.detectors.detector import Detector
from srtod.detectors.systems import parts


def atss(config: DetectorConfig) -> Detector:
    """Levels P3 to P7, the two coarsest from P5; one square anchor a cell."""
    pyramid = parts.feature_pyramid(config, lowest=8, coarser="p5")
    return parts.assemble(config, pyramid, parts.atss_head(config, pyramid))
