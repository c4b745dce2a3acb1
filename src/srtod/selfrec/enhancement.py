"""From a mask to an enhanced level (paper: equations 5 and 6, table 6)."""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """Equation 5: ``sigmoid(MLP(AvgPool(P)) + MLP(MaxPool(P)))``, one shared MLP with a waist of C / 16."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        waist = max(channels // reduction, 1)
        self.mlp = nn.Sequential(nn.Linear(channels, waist), nn.ReLU(), nn.Linear(waist, channels))

    def forward(self, level: Tensor) -> Tensor:
        """Map a level ``[B, C, h, w]`` to weights ``[B, C, 1, 1]`` in 0..1."""
        weights = self.mlp(level.mean(dim=(2, 3))) + self.mlp(level.amax(dim=(2, 3)))
        return weights.sigmoid()[:, :, None, None]


class Enhancement(nn.Module):
    """Changes a level where the reconstruction failed; this one leaves it as it is (paper, table 4).

    Args:
        channels: channels C of the level.
        stride: of the level, in pixels.
    """

    reads: ClassVar[Literal["mask", "pixels", "nothing"]] = "nothing"

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()

    def forward(self, level: Tensor, shown: Tensor) -> Tensor:
        """Map a level ``[B, C, h, w]`` to an enhanced one of the same shape.

        Args:
            level: ``[B, C, h, w]``.
            shown: what the enhancement reads: the mask ``[B, 1, h, w]`` in 0..1, or pixels ``[B, 3, H, W]``.
        """
        return level


class AttentionEnhancement(Enhancement):
    """Equation 6 (DGFE): ``P' = R(P) * (mask + 1) * P``."""

    reads = "mask"

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(channels, stride)
        self.attention = ChannelAttention(channels)

    def forward(self, level: Tensor, shown: Tensor) -> Tensor:
        """See :class:`Enhancement`."""
        return level * self.attention(level) * (shown + 1)  # in this order all keep the level's layout


class MultiplyEnhancement(Enhancement):
    """Table 6, EM: the level times the mask."""

    reads = "mask"

    def forward(self, level: Tensor, shown: Tensor) -> Tensor:
        """See :class:`Enhancement`."""
        return level * shown


class ConcatenateEnhancement(Enhancement):
    """Table 6: the mask as one more channel, brought back to C channels by a 1x1 convolution."""

    reads = "mask"

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(channels, stride)
        self.fuse = nn.Conv2d(channels + 1, channels, kernel_size=1)

    def forward(self, level: Tensor, shown: Tensor) -> Tensor:
        """See :class:`Enhancement`."""
        return self.fuse(torch.cat([level, shown], dim=1))


class GatedEnhancement(Enhancement):
    """DGFE behind a gate: ``P' = P (1 + g R(P) M)`` with one g a channel (not in the paper).

    The gates start at 0, so at first the level stays as it is, to the last bit; where the mask is 0 it always
    does. Equation 6 starts as a factor of about ``0.5 (1 + M)``, which drifts while the head learns.
    """

    reads = "mask"

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(channels, stride)
        self.attention = ChannelAttention(channels)
        self.gate = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, level: Tensor, shown: Tensor) -> Tensor:
        """See :class:`Enhancement`."""
        return level * (1 + self.gate * self.factor(level, shown))

    def factor(self, level: Tensor, shown: Tensor) -> Tensor:
        """What the gate weighs, ``[B, C, h, w]``."""
        return self.attention(level) * shown


class NormalisedEnhancement(GatedEnhancement):
    """A gate on the change that DGFE makes, its mean taken out: ``P (1 + g (2 R(P) (1+M) / mean(1+M) - 1))``.

    Neither a full mask nor an empty one changes the scale of a level.
    """

    def factor(self, level: Tensor, shown: Tensor) -> Tensor:
        """See :class:`GatedEnhancement`."""
        weighted = shown + 1
        return 2 * self.attention(level) * weighted / weighted.mean(dim=(1, 2, 3), keepdim=True) - 1


class AddEnhancement(Enhancement):
    """The level plus the mask times a learned vector, which starts at 0 (not in the paper)."""

    reads = "mask"

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(channels, stride)
        self.gate = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, level: Tensor, shown: Tensor) -> Tensor:
        """See :class:`Enhancement`."""
        return level + self.gate * shown


class PixelEnhancement(Enhancement):
    """The level plus what two convolutions make of pixels: what it has lost is given back (not in the paper).

    A cell reads its ``stride`` x ``stride`` pixels and its neighbours'. At first nothing is added.
    """

    reads = "pixels"

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(channels, stride)
        hidden = max(channels // 4, 1)
        self.cells = nn.PixelUnshuffle(stride)
        self.hidden = nn.Conv2d(3 * stride**2, hidden, kernel_size=3, padding=1)
        self.output = nn.Conv2d(hidden, channels, kernel_size=1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)  # ty: ignore[invalid-argument-type]

    def forward(self, level: Tensor, shown: Tensor) -> Tensor:
        """See :class:`Enhancement`."""
        stride, (height, width) = self.cells.downscale_factor, level.shape[-2:]
        missing = (0, width * stride - shown.shape[-1], 0, height * stride - shown.shape[-2])
        return level + self.output(self.hidden(self.cells(F.pad(shown, missing))).relu())


ENHANCEMENTS: dict[str, type[Enhancement]] = {
    "attention": AttentionEnhancement,
    "multiply": MultiplyEnhancement,
    "concatenate": ConcatenateEnhancement,
    "gated": GatedEnhancement,
    "normalised": NormalisedEnhancement,
    "add": AddEnhancement,
    "residual": PixelEnhancement,
    "image": PixelEnhancement,
    "none": Enhancement,
}
