"""RetinaNet (Lin et al., ICCV 2017), set as in MMDetection 3."""

from srtod.boxes.assigners.base import AcrossLevels
from srtod.boxes.assigners.max_iou import MaxIoUAssigner
from srtod.boxes.coders import DeltaCoder
from srtod.detectors.config import DetectorConfig
from srtod.detectors.detector import Detector
from srtod.detectors.systems import parts
from srtod.heads.dense import DenseHead
from srtod.heads.retina import RetinaPredictor, delta_loss

OCTAVE_SCALES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))


def retinanet(config: DetectorConfig) -> Detector:
    """Levels P3 to P7, the two coarsest from the backbone's last features; nine anchors a cell."""
    pyramid = parts.feature_pyramid(config, lowest=8, coarser="c5")
    anchors = parts.scaled_anchors(config, pyramid, octave_scales=OCTAVE_SCALES)
    head = DenseHead(
        predictor=RetinaPredictor(
            channels=pyramid.channels, per_cell=anchors.per_cell, num_classes=len(config.classes)
        ),
        anchors=anchors,
        assigner=AcrossLevels(MaxIoUAssigner(positive_iou=0.5, negative_iou=0.4, match_low_quality=True)),
        coder=DeltaCoder(),
        box_loss=delta_loss,
        candidates=config.candidates(anchors.per_cell),
        limits=parts.detection_limits(config),
    )
    return parts.assemble(config, pyramid, head)
