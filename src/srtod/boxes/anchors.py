"""Reference boxes on the cells of a pyramid."""

from collections.abc import Sequence

import torch
from torch import Tensor

from srtod.nn.kept import Kept

_SIZES_KEPT = 4
"""Sizes of image whose anchors are kept: 8 MB each for the 520,000 of a 1920 x 1080 image."""


class AnchorGenerator:
    """Anchors of several scales and ratios, centred on the top left corner of each cell (MMDetection's way).

    Args:
        strides: stride of each level in pixels.
        scales: side of a square anchor, in units of the level's ``units``.
        ratios: height / width.
        units: of the scales on each level in pixels; None is the stride.

    The arithmetic is MMDetection's to the last bit, so that anchors that tie there tie here.
    """

    def __init__(
        self,
        *,
        strides: Sequence[int],
        scales: Sequence[float],
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        units: Sequence[float] | None = None,
    ) -> None:
        self.strides = tuple(strides)
        self.units = tuple(units or strides)
        self.scales = tuple(scales)
        self.ratios = tuple(ratios)
        self._kept = Kept(_SIZES_KEPT)

    @property
    def per_cell(self) -> int:
        """Anchors on each cell."""
        return len(self.scales) * len(self.ratios)

    def shapes(self, unit: float) -> Tensor:
        """Anchors around the origin, ``[A, 4]``, ratios outermost, for scales in units of ``unit`` pixels."""
        root = torch.tensor(self.ratios).sqrt()[:, None]
        scales = torch.tensor(self.scales)[None, :]
        half_widths = (unit * (1 / root) * scales).flatten() / 2
        half_heights = (unit * root * scales).flatten() / 2
        return torch.stack([-half_widths, -half_heights, half_widths, half_heights], dim=1)

    def __call__(self, sizes: Sequence[tuple[int, int]], device: torch.device) -> list[Tensor]:
        """Anchors of every level.

        Args:
            sizes: (h, w) of each level in cells.
            device: where the anchors are made.

        Returns:
            One ``[h w A, 4]`` tensor a level: row by row, the anchors of a cell together. They are kept for
            the next images of these sizes, so nobody may write into them.
        """
        levels = list(zip(self.strides, self.units, sizes, strict=True))
        return self._kept.get(
            (tuple(sizes), device),
            lambda: [self._level(stride, unit, size, device) for stride, unit, size in levels],
        )

    def _level(self, stride: int, unit: float, size: tuple[int, int], device: torch.device) -> Tensor:
        rows = torch.arange(size[0], device=device) * stride
        columns = torch.arange(size[1], device=device) * stride
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        corners = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
        return (corners + self.shapes(unit).to(device)).reshape(-1, 4)


def level_sizes(levels: Sequence[Tensor]) -> list[tuple[int, int]]:
    """(h, w) in cells of each level ``[B, C, h, w]``."""
    return [(level.shape[-2], level.shape[-1]) for level in levels]


def usable_anchors(
    level_sizes: Sequence[tuple[int, int]],
    strides: Sequence[int],
    padded_size: tuple[int, int],
    per_cell: int,
    device: torch.device,
) -> Tensor:
    """Which anchors of a padded batch lie on cells of one image.

    Args:
        level_sizes: (h, w) of each level in cells.
        strides: stride of each level in pixels.
        padded_size: (height, width) of this image, padded on its own.
        per_cell: anchors on each cell.
        device: where the result is made.

    Returns:
        bool ``[sum of h w A]`` over all levels.
    """
    flags = []
    for (h, w), stride in zip(level_sizes, strides, strict=True):
        rows = torch.arange(h, device=device) * stride < padded_size[0]
        columns = torch.arange(w, device=device) * stride < padded_size[1]
        flags.append((rows[:, None] & columns[None, :]).flatten().repeat_interleave(per_cell))
    return torch.cat(flags)


def per_anchor(predicted: Tensor, values: int) -> Tensor:
    """Turn a map ``[B, A values, h, w]`` into float32 ``[B, h w A, values]``, in the order of the anchors."""
    return predicted.permute(0, 2, 3, 1).reshape(predicted.shape[0], -1, values).float()


def scaled_boxes(boxes: Tensor, factor: float) -> Tensor:
    """``[N, 4]`` boxes with their sides times ``factor``, around the same centres."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) * factor / 2
    return torch.cat([centres - half, centres + half], dim=1)
