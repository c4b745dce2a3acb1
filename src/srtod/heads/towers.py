"""Layers of one-stage heads."""

from functools import partial
from math import gcd, log

from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from srtod.nn.initialisation import near_zero
from srtod.support.errors import InputError

PRIOR = 0.01
"""Score of every anchor before training, so that the many background anchors do not swamp the first steps."""


class ConvTowers(nn.Module):
    """Two stacks of 3x3 convolutions on one level: one for the classes, one for the boxes.

    Args:
        channels: of the level, kept throughout.
        depth: convolutions in each stack; 0 hands the level on as it is.
        normalised: GroupNorm between convolution and ReLU.
    """

    def __init__(self, *, channels: int, depth: int, normalised: bool) -> None:
        super().__init__()
        norm = partial(nn.GroupNorm, norm_groups(channels)) if normalised else None
        self.classes, self.boxes = (
            nn.Sequential(
                *(Conv2dNormActivation(channels, channels, 3, norm_layer=norm) for _ in range(depth))
            )
            for _ in range(2)
        )

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``[B, C, h, w]`` to the features for classes and for boxes, both ``[B, C, h, w]``."""
        return self.classes(level), self.boxes(level)


def norm_groups(channels: int) -> int:
    """The groups of a GroupNorm: 32 as in the papers, fewer where a group would have a single channel.

    A group of one channel cannot be normalised on a level of one cell.

    Raises:
        InputError: there is a single channel.
    """
    if channels < 2:
        raise InputError(
            f"pyramid_channels: the head normalises groups of channels; give at least 2, not {channels}"
        )
    return max(gcd(channels, 64) // 2, 1)


def initialise(module: nn.Module, classes: nn.Conv2d) -> None:
    """Small random weights in every convolution, and :data:`PRIOR` as first score of every class."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            near_zero(layer, bias=log(PRIOR / (1 - PRIOR)) if layer is classes else 0.0)
