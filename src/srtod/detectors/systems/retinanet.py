"""RetinaNet (Lin et al., ICCV 2017), set as in MMDetection 3."""

from typing import Literal

from srtod.boxes.assigners.max_iou import MaxIoUAssigner
from srtod.boxes.coders import DeltaCoder
from srtod.detectors.config import Parts
from srtod.detectors.systems.one_stage import OneStageConfig
from srtod.detectors.systems.parts import detection_limits, feature_pyramid, scaled_anchors
from srtod.heads.dense import DenseHead
from srtod.heads.retina import RetinaPredictor, delta_loss

OCTAVE_SCALES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))


class RetinaNetConfig(OneStageConfig):
    """RetinaNet."""

    system: Literal["retinanet"] = "retinanet"

    def parts(self) -> Parts:
        """Levels P3 to P7, the coarsest from the backbone's last features; nine anchors a cell."""
        pyramid = feature_pyramid(self, lowest=self.finest_stride, coarser="c5")
        anchors = scaled_anchors(self, pyramid, octave_scales=OCTAVE_SCALES)
        head = DenseHead(
            predictor=RetinaPredictor(
                channels=pyramid.channels, per_cell=anchors.per_cell, num_classes=len(self.classes)
            ),
            anchors=anchors,
            assigner=MaxIoUAssigner(positive_iou=0.5, negative_iou=0.4, match_low_quality=True),
            coder=DeltaCoder(),
            box_loss=delta_loss,
            level_candidates=self.candidates(anchors),
            limits=detection_limits(self),
        )
        return Parts(pyramid, head)
