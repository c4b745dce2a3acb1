"""ATSS (Zhang et al., CVPR 2020), set as in MMDetection 3."""

from functools import partial
from typing import Literal

from srtod.boxes.assigners.atss import ATSSAssigner
from srtod.boxes.coders import DeltaCoder
from srtod.detectors.config import Parts
from srtod.detectors.systems.one_stage import CentreConfig, OneStageConfig
from srtod.detectors.systems.parts import detection_limits, feature_pyramid, scaled_anchors
from srtod.heads.atss import ATSSPredictor, giou_and_centerness_loss
from srtod.heads.dense import DenseHead
from srtod.pyramids.base import Pyramid
from srtod.support.errors import InputError


class ATSSConfig(CentreConfig):
    """ATSS."""

    system: Literal["atss"] = "atss"

    def parts(self) -> Parts:
        """Levels P3 to P7, the coarsest from P5; one square anchor a cell."""
        pyramid = feature_pyramid(self, lowest=self.finest_stride, coarser="p5")
        return Parts(pyramid, atss_head(self, pyramid, least_reach=self.least_reach))


def atss_head(
    config: OneStageConfig, pyramid: Pyramid, *, depth: int = 4, least_reach: float = 0.0
) -> DenseHead:
    """The head of ATSS with ``depth`` convolutions in each of its stacks; see :class:`CentreConfig`.

    Raises:
        InputError: ``least_reach`` with anchors that are no squares of one size, of which a cell is no share.
    """
    anchors = scaled_anchors(config, pyramid, ratios=(1.0,))
    if least_reach and (len(anchors.scales) > 1 or anchors.ratios != (1.0,)):
        raise InputError("least_reach: needs one square anchor a cell; give a single anchor_scale")
    least_size = least_reach / anchors.scales[0]
    return DenseHead(
        predictor=ATSSPredictor(
            channels=pyramid.channels,
            levels=len(pyramid.strides),
            depth=depth,
            per_cell=anchors.per_cell,
            num_classes=len(config.classes),
        ),
        anchors=anchors,
        assigner=ATSSAssigner(least_size=least_size),
        coder=DeltaCoder((0.1, 0.1, 0.2, 0.2)),
        box_loss=partial(giou_and_centerness_loss, least_size=least_size),
        level_candidates=config.candidates(anchors),
        limits=detection_limits(config),
    )
