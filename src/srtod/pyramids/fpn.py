"""Backbone and feature pyramid network: images to levels P2 to P6, or P3 to P7."""

from typing import Literal

from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool

from srtod.pyramids.backbone import STRIDES, Backbone
from srtod.pyramids.base import Pyramid

LEVELS = 5


class FeaturePyramid(Pyramid):
    """FPN (Lin et al., CVPR 2017) of five levels.

    Args:
        backbone: gives features at strides 4, 8, 16 and 32.
        channels: of every level.
        lowest: stride of the lowest level, 4 for P2 or 8 for P3.
        coarser: where the levels beyond P5 come from: ``subsample`` takes every second pixel of the level
            before (the R-CNNs), ``c5`` and ``p5`` are strided convolutions that start at the backbone's last
            features (RetinaNet) or at P5 (ATSS).
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        channels: int = 256,
        lowest: int = 4,
        coarser: Literal["subsample", "c5", "p5"] = "subsample",
    ) -> None:
        super().__init__(strides=tuple(lowest << level for level in range(LEVELS)), channels=channels)
        self.backbone = backbone
        self._first = STRIDES.index(lowest)
        inputs = list(backbone.channels[self._first :])
        extra: ExtraFPNBlock
        if coarser == "subsample":
            extra = LastLevelMaxPool()
        else:
            start = inputs[-1] if coarser == "c5" else channels
            extra = StridedLevels(start, channels, LEVELS - len(inputs), of_p5=coarser == "p5")
        self.fpn = FeaturePyramidNetwork(inputs, channels, extra_blocks=extra)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map normalised images ``[B, 3, H, W]`` to levels, lowest first."""
        return self.fuse(self.backbone(images))

    def fuse(self, features: list[Tensor]) -> tuple[Tensor, ...]:
        """Map the backbone's features to levels, lowest first."""
        used = features[self._first :]
        return tuple(self.fpn({str(index): level for index, level in enumerate(used)}).values())


class StridedLevels(ExtraFPNBlock):
    """Coarser levels by a chain of 3x3 convolutions of stride 2, without activation between (MMDetection).

    Args:
        inputs: channels of what the chain starts from.
        channels: of every level.
        number: of levels.
        of_p5: start from the last level of the pyramid, else from the last features of the backbone.
    """

    def __init__(self, inputs: int, channels: int, number: int, *, of_p5: bool) -> None:
        super().__init__()
        self.of_p5 = of_p5
        self.convs = nn.ModuleList(
            nn.Conv2d(inputs if index == 0 else channels, channels, 3, stride=2, padding=1)
            for index in range(number)
        )
        for parameter in self.convs.parameters():  # like the other convolutions of torchvision's FPN
            if parameter.ndim > 1:
                nn.init.kaiming_uniform_(parameter, a=1)
            else:
                nn.init.zeros_(parameter)

    def forward(
        self, results: list[Tensor], x: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        """Add the levels to ``results``, given the backbone's features ``x``."""
        level = results[-1] if self.of_p5 else x[-1]
        for number, conv in enumerate(self.convs):
            level = conv(level)
            results, names = [*results, level], [*names, f"coarser{number}"]
        return results, names
