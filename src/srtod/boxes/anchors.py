"""Reference boxes on the cells of a pyramid."""

from collections.abc import Sequence

import torch
from torch import Tensor

from srtod.nn.kept import kept

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

    @property
    def per_cell(self) -> int:
        """Anchors on each cell."""
        return len(self.scales) * len(self.ratios)

    def __call__(self, sizes: Sequence[tuple[int, int]], device: torch.device) -> list[Tensor]:
        """Anchors of every level.

        Args:
            sizes: (h, w) of each level in cells.
            device: where the anchors are made.

        Returns:
            One ``[h w A, 4]`` tensor a level: row by row, the anchors of a cell together. They are kept for
            the next images of these sizes, so nobody may write into them.
        """
        shapes = tuple(zip(self.strides, self.units, sizes, strict=True))
        return list(_anchors(shapes, self.scales, self.ratios, device))

    def shapes(self) -> list[Tensor]:
        """Anchors of each level around the origin, ``[A, 4]``; those of a cell are moved to its corner."""
        return [_shapes(unit, self.scales, self.ratios) for unit in self.units]

    def own_sizes(
        self, sizes: Sequence[tuple[int, int]], padded_size: tuple[int, int]
    ) -> list[tuple[int, int]]:
        """(h, w) in cells that one image of a padded batch, padded on its own, has of each level."""
        return [
            (min(h, -(-padded_size[0] // stride)), min(w, -(-padded_size[1] // stride)))
            for (h, w), stride in zip(sizes, self.strides, strict=True)
        ]

    def valid_rows(
        self, sizes: Sequence[tuple[int, int]], padded_size: tuple[int, int], device: torch.device
    ) -> list[Tensor] | None:
        """Which anchors of a padded batch lie on cells of one image: a rectangle of cells on each level.

        Args:
            sizes: (h, w) of each level in cells.
            padded_size: (height, width) of this image in pixels, padded on its own.
            device: where the result is made.

        Returns:
            Indices of those of each level, counted over all levels, int64; None where all lie on its cells.
        """
        own = self.own_sizes(sizes, padded_size)
        if own == list(sizes):
            return None
        counts = [h * w * self.per_cell for h, w in sizes]
        levels = torch.arange(sum(counts), device=device).split(counts)
        return [
            level.view(*size, -1)[:rows, :columns].flatten()
            for level, size, (rows, columns) in zip(levels, sizes, own, strict=True)
        ]


@kept(_SIZES_KEPT)
def _anchors(
    levels: tuple[tuple[int, float, tuple[int, int]], ...],
    scales: tuple[float, ...],
    ratios: tuple[float, ...],
    device: torch.device,
) -> list[Tensor]:
    """Anchors of levels of (stride, unit, size in cells)."""
    anchors = []
    for stride, unit, (h, w) in levels:
        rows, columns = torch.arange(h, device=device) * stride, torch.arange(w, device=device) * stride
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        corners = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
        anchors.append((corners + _shapes(unit, scales, ratios).to(device)).reshape(-1, 4))
    return anchors


def _shapes(unit: float, scales: tuple[float, ...], ratios: tuple[float, ...]) -> Tensor:
    """Anchors around the origin, ``[A, 4]``, ratios outermost, for scales in units of ``unit`` pixels."""
    root, factors = torch.tensor(ratios).sqrt()[:, None], torch.tensor(scales)[None, :]
    half_widths = (unit * (1 / root) * factors).flatten() / 2
    half_heights = (unit * root * factors).flatten() / 2
    return torch.stack([-half_widths, -half_heights, half_widths, half_heights], dim=1)


def level_sizes(levels: Sequence[Tensor]) -> list[tuple[int, int]]:
    """(h, w) in cells of each level ``[B, C, h, w]``."""
    return [(level.shape[-2], level.shape[-1]) for level in levels]


def per_anchor(predicted: Tensor, values: int) -> Tensor:
    """Turn a map ``[B, A values, h, w]`` into float32 ``[B, h w A, values]``, in the order of the anchors."""
    return predicted.permute(0, 2, 3, 1).reshape(predicted.shape[0], -1, values).float()


def scaled_boxes(boxes: Tensor, factor: float) -> Tensor:
    """``[N, 4]`` boxes with their sides times ``factor``, around the same centres."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) * factor / 2
    return torch.cat([centres - half, centres + half], dim=1)
