"""Backbone and feature pyramid network: images to levels P2 to P6."""

from torch import Tensor
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from srtod.pyramids.backbone import STRIDES, Backbone
from srtod.pyramids.base import Pyramid


class FeaturePyramid(Pyramid):
    """FPN (Lin et al., CVPR 2017) with a coarser level P6 by subsampling P5.

    Args:
        backbone: gives features at strides 4, 8, 16 and 32.
        channels: of every level.
    """

    def __init__(self, backbone: Backbone, *, channels: int = 256) -> None:
        super().__init__(strides=(*STRIDES, 2 * STRIDES[-1]), channels=channels)
        self.backbone = backbone
        self.fpn = FeaturePyramidNetwork(list(backbone.channels), channels, extra_blocks=LastLevelMaxPool())

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map normalised images ``[B, 3, H, W]`` to levels P2 to P6."""
        features = self.backbone(images)
        return tuple(self.fpn({str(index): level for index, level in enumerate(features)}).values())
