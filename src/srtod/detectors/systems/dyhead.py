"""DyHead (Dai et al., CVPR 2021) as MMDetection 3 has it: ATSS with dynamic-head blocks behind the FPN."""

from srtod.detectors.config import DetectorConfig
from srtod.detectors.detector import Detector
from srtod.detectors.systems import parts
from srtod.pyramids.dynamic import DynamicBlock, DynamicFeaturePyramid

BLOCKS = 6


def dyhead(config: DetectorConfig) -> Detector:
    """The levels of ATSS go through six blocks, which stand in place of the head's stacks."""
    channels = config.pyramid_channels
    pyramid = DynamicFeaturePyramid(
        parts.backbone(config),
        channels=channels,
        blocks=[DynamicBlock(channels, coarser_offsets=config.coarser_offsets) for _ in range(BLOCKS)],
    )
    return parts.assemble(config, pyramid, parts.atss_head(config, pyramid, depth=0))
