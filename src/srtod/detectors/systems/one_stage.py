"""One-stage systems: their options, and what tells how many candidates they keep."""

from srtod.boxes.anchors import AnchorGenerator
from srtod.detectors.config import FPNConfig, Open, Positive
from srtod.detectors.systems.parts import enough_candidates


class OneStageConfig(FPNConfig):
    """The options of every one-stage system.

    Attributes:
        level_candidates: best scores of each level that enter the NMS; default ``detections_per_image`` times
            the anchors of a cell, at least 1000, so that as many objects can be found on one level, each by
            all anchors of a cell.
    """

    level_candidates: Open[Positive | None] = None

    def candidates(self, anchors: AnchorGenerator) -> int:
        """Best scores of each level that enter the NMS."""
        return self.level_candidates or enough_candidates(self, anchors.per_cell)
