"""Dynamic head (Dai et al., CVPR 2021): attention over space, scale and task between pyramid and head."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srtod.nn.deformable import EXPORT_OBSTACLE, deform_conv2d, offsets_of
from srtod.nn.initialisation import near_zero, zero
from srtod.pyramids.backbone import Backbone
from srtod.pyramids.fpn import FeaturePyramid
from srtod.support.errors import InputError

GROUPS = 16
KERNEL = 3
OFFSETS = 2 * KERNEL**2

CoarserOffsets = Literal["pooled", "first_values"]


def pooled(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Each coarser cell has the mean of the cells that it covers."""
    return F.adaptive_avg_pool2d(maps, size)


def first_values(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """The first values of each image in memory, as many as the coarser level needs, of whatever cell.

    So the reference behaves: its operator reads the finer level's offsets as if they had the coarser one's
    size (https://github.com/microsoft/DynamicHead/issues/25).
    """
    channels = maps.shape[1]
    return maps.flatten(1)[:, : channels * size[0] * size[1]].unflatten(1, (channels, *size))


COARSER_OFFSETS: dict[CoarserOffsets, Callable[[Tensor, tuple[int, int]], Tensor]] = {
    "pooled": pooled,
    "first_values": first_values,
}


class DynamicFeaturePyramid(FeaturePyramid):
    """FPN as ATSS has it, whose levels go through blocks of a dynamic head.

    Args:
        backbone: gives features at strides 4, 8, 16 and 32.
        channels: of every level.
        lowest: stride of the lowest level, 8 for P3 or 4 for P2.
        blocks: what the levels go through, one after the other.
    """

    def __init__(
        self, backbone: Backbone, *, channels: int = 256, lowest: int = 8, blocks: Sequence["DynamicBlock"]
    ) -> None:
        super().__init__(backbone, channels=channels, lowest=lowest, coarser="p5")
        self.blocks = nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map normalised images ``[B, 3, H, W]`` to levels behind the blocks, lowest first."""
        return self.blocks(super().forward(images))


class DynamicBlock(nn.Module):
    """Mix each level with its neighbours by three kinds of attention, as MMDetection 3 does.

    Over space: the level, the finer and the coarser one beside it are sampled by deformable convolutions,
    whose offsets and masks come from the level itself and count in cells of the level sampled. Over scale:
    each of the three is weighted as a whole. Over task: a :class:`DynamicReLU`. Offsets start at 0 and masks
    at 0.5 (the reference's ``zero_init_offset``), attention from a normal distribution of deviation 0.01.

    Args:
        channels: of every level, a multiple of 16.
        coarser_offsets: how offsets and masks fit the coarser level, which has fewer cells
            (:data:`COARSER_OFFSETS`).

    Raises:
        InputError: the channels are not a multiple of 16.
    """

    def __init__(self, channels: int, *, coarser_offsets: CoarserOffsets = "pooled") -> None:
        super().__init__()
        self.same = ModulatedConv(channels)
        self.finer = ModulatedConv(channels, stride=2)
        self.coarser = ModulatedConv(channels)
        self.offsets = zero(nn.Conv2d(channels, OFFSETS + KERNEL**2, KERNEL, padding=1))
        self.scale = ScaleAttention(channels)
        self.task = DynamicReLU(channels)
        self._fit = COARSER_OFFSETS[coarser_offsets]

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Map levels ``[B, C, h, w]``, each half as large as the one before, to levels of the same shapes."""
        return tuple(self._level(levels, index) for index in range(len(levels)))

    def _level(self, levels: Sequence[Tensor], index: int) -> Tensor:
        level = levels[index]
        offset, mask = offsets_of(self.offsets, level).tensor_split((OFFSETS,), dim=1)
        mask = mask.sigmoid()
        seen = [self.same(level, offset, mask)]
        if index > 0:
            seen.append(self.finer(levels[index - 1], offset, mask))
        if index + 1 < len(levels):
            above = levels[index + 1]
            size = (above.shape[-2], above.shape[-1])
            coarser = self.coarser(above, self._fit(offset, size), self._fit(mask, size))
            # Enlarged after the convolution: a quarter of the work.
            seen.append(F.interpolate(coarser, level.shape[-2:], mode="bilinear", align_corners=True))
        return self.task(sum(self.scale(own) for own in seen) / len(seen))


class ModulatedConv(nn.Module):
    """A modulated deformable 3x3 convolution with offsets from elsewhere, and GroupNorm."""

    export_obstacle = EXPORT_OBSTACLE

    def __init__(self, channels: int, *, stride: int = 1) -> None:
        super().__init__()
        if channels % GROUPS:
            raise InputError(
                f"pyramid_channels: dynamic-head blocks normalise {GROUPS} groups of channels; give a "
                f"multiple of {GROUPS}, not {channels}"
            )
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(channels, channels, KERNEL, KERNEL))
        self.norm = nn.GroupNorm(GROUPS, channels)
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, features: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to the size of the offsets ``[B, 18, h, w]`` and the mask ``[B, 9, h, w]``."""
        return self.norm(
            deform_conv2d(features, offset, self.weight, stride=self.stride, padding=1, mask=mask)
        )


class ScaleAttention(nn.Module):
    """Weight features as a whole by one number an image, in 0.5..1: a ReLU stands before the hard sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = near_zero(nn.Conv2d(channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map ``[B, C, h, w]`` to the same shape."""
        return features * F.hardsigmoid(self.conv(_mean(features)).relu())


class DynamicReLU(nn.Module):
    """The larger of two lines, whose slopes and shifts depend on the image (Chen et al., ECCV 2020).

    A channel x becomes max(a x + b, c x + d) with a in 0..2, c in -1..1, b and d in -0.5..0.5.
    """

    def __init__(self, channels: int, *, reduction: int = 4) -> None:
        super().__init__()
        self.squeeze = near_zero(nn.Conv2d(channels, channels // reduction, 1))
        self.expand = near_zero(nn.Conv2d(channels // reduction, 4 * channels, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map ``[B, C, h, w]`` to the same shape."""
        coefficients = F.hardsigmoid(self.expand(self.squeeze(_mean(features)).relu())) - 0.5
        slope, shift, other_slope, other_shift = coefficients.chunk(4, dim=1)
        return torch.maximum(features * (2 * slope + 1) + shift, features * (2 * other_slope) + other_shift)


def _mean(features: Tensor) -> Tensor:
    return features.mean(dim=(2, 3), keepdim=True)
