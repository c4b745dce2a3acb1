"""One-stage systems: their options, and what tells how many candidates they keep."""

from typing import Literal

from pydantic import Field

from srtod.boxes.anchors import AnchorGenerator
from srtod.detectors.config import FPNConfig, Open, Positive
from srtod.detectors.systems.parts import enough_candidates


class OneStageConfig(FPNConfig):
    """The options of every one-stage system.

    Attributes:
        level_candidates: best scores of each level that enter the NMS; default ``detections_per_image`` times
            the anchors of a cell, at least 1000, so that as many objects can be found on one level, each by
            all anchors of a cell.
        finest_stride: of the five levels, in pixels: 8 for P3 to P7, as published, or 4 for P2 to P6, which
            see smaller objects and have four times the cells.
    """

    level_candidates: Open[Positive | None] = None
    finest_stride: Literal[4, 8] = 8

    def candidates(self, anchors: AnchorGenerator) -> int:
        """Best scores of each level that enter the NMS."""
        return self.level_candidates or enough_candidates(self, anchors.per_cell)


class CentreConfig(OneStageConfig):
    """The options of systems in which only anchors whose centre lies inside an object may find it.

    Attributes:
        least_reach: cells that an object is wide and high at least where its anchors are chosen. 0 is as
            published: an object that is smaller than a cell often holds no centre and is never learned. From
            1 on every object holds one.
    """

    least_reach: Open[float] = Field(default=0.0, ge=0, le=8)
