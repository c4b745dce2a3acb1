"""DyHead (Dai et al., CVPR 2021) as MMDetection 3 has it: ATSS with dynamic-head blocks behind the FPN."""

from typing import Literal

from srtod.detectors.config import Parts
from srtod.detectors.systems.atss import atss_head
from srtod.detectors.systems.one_stage import CentreConfig
from srtod.detectors.systems.parts import backbone
from srtod.pyramids.dynamic import DynamicBlock, DynamicFeaturePyramid

BLOCKS = 6


class DyHeadConfig(CentreConfig):
    """ATSS with a dynamic head.

    Attributes:
        coarser_offsets: how a level's offsets fit the coarser level that they sample too: ``pooled`` is the
            mean of the cells that a coarser cell covers; ``first_values`` the first values in memory, a
            mistake of the reference that weights trained with it need.
    """

    system: Literal["dyhead"] = "dyhead"
    coarser_offsets: Literal["pooled", "first_values"] = "pooled"

    def parts(self) -> Parts:
        """The levels of ATSS go through six blocks, which stand in place of the head's stacks."""
        channels = self.pyramid_channels
        pyramid = DynamicFeaturePyramid(
            backbone(self),
            channels=channels,
            lowest=self.finest_stride,
            blocks=[DynamicBlock(channels, coarser_offsets=self.coarser_offsets) for _ in range(BLOCKS)],
        )
        return Parts(pyramid, atss_head(self, pyramid, depth=0, least_reach=self.least_reach))
