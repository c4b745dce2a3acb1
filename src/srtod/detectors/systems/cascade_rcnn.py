"""Cascade R-CNN with FPN (Cai & Vasconcelos, 2018), set as in MMDetection 3."""

from typing import Literal

from srtod.detectors.config import Parts
from srtod.detectors.systems.parts import feature_pyramid
from srtod.detectors.systems.two_stage import RCNNConfig, box_head, box_stage, rcnn_proposals
from srtod.heads.two_stage import TwoStageHead
from srtod.pyramids.base import Pyramid

STAGES = (
    (0.5, (0.1, 0.1, 0.2, 0.2), 1.0),
    (0.6, (0.05, 0.05, 0.1, 0.1), 0.5),
    (0.7, (0.033, 0.033, 0.067, 0.067), 0.25),
)
"""IoU from which boxes are positive, deviations of the deltas, and weight of the losses of each stage."""


class CascadeRCNNConfig(RCNNConfig):
    """Faster R-CNN with three box stages that ask for more and more overlap."""

    system: Literal["cascade-rcnn"] = "cascade-rcnn"

    def parts(self) -> Parts:
        """Levels P2 to P6, and a chain of box stages."""
        pyramid = feature_pyramid(self)
        return Parts(pyramid, cascade_head(self, pyramid))


def cascade_head(config: RCNNConfig, pyramid: Pyramid) -> TwoStageHead:
    """The proposal network and the three stages of Cascade R-CNN."""
    rpn = rcnn_proposals(config, pyramid, beta=1 / 9, border=0)
    stages = [
        box_stage(
            config,
            pyramid,
            iou=iou,
            stds=stds,
            beta=1.0,
            class_agnostic=True,
            class_weight=weight,
            box_weight=weight,
        )
        for iou, stds, weight in STAGES
    ]
    return TwoStageHead(rpn=rpn, box_head=box_head(config, pyramid, stages))
