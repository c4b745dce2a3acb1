"""Each object finds the cells near its centre, on the level that fits its size."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from srtod.boxes.assigners.base import BACKGROUND, IGNORED
from srtod.boxes.grid import cells_of, level_table


@dataclass(frozen=True)
class RegionAssigner:
    """Assign cells, one anchor each, by where they lie in the objects (guided anchoring, Wang et al., 2019).

    On the level whose anchors are nearest to an object's size, cells in its middle are positive and those
    around them ignored. Of two objects there the later decides, also where it only ignores. Cells around the
    middle on the levels above and below are ignored, even where another object is positive. A middle
    holds at least one cell, its ends being rounded to cells, unless it lies beyond the last cell to the right
    or below; beyond the first to the left or above it takes that cell. All this as in MMDetection.

    Cells are counted out region by region: time and memory grow with the cells inside the objects, not with
    objects times cells. The host waits once, for the number of these cells.

    Attributes:
        strides: of the levels in pixels, each twice the one before.
        anchor_scale: side of the anchors in units of the stride.
        positive_share: of an object's width and height, the middle in which cells are positive.
        ignored_share: likewise, the middle in which cells are not background.
    """

    strides: tuple[int, ...]
    anchor_scale: float
    positive_share: float = 0.2
    ignored_share: float = 0.5

    def __call__(self, sizes: Sequence[tuple[int, int]], objects: Tensor) -> Tensor:
        """Assign.

        Args:
            sizes: (h, w) of each level in cells.
            objects: ground truth ``[G, 4]``; G may be 0.

        Returns:
            int64 ``[sum of h w]``, row by row: index of the object, ``BACKGROUND`` or ``IGNORED``.
        """
        level, grid = self._level_of(objects), level_table(tuple(sizes), objects.device)
        regions = (
            (self.ignored_share, 0),
            (self.positive_share, 0),
            (self.ignored_share, -1),
            (self.ignored_share, 1),
        )
        parts = [self._region(objects, level + shift, share, grid) for share, shift in regions]
        cell, region = cells_of(*(torch.cat(part) for part in zip(*parts, strict=True)))
        number = len(objects)
        owner, kind = region % max(number, 1), region // max(number, 1)
        nobody = torch.full((sum(h * w for h, w in sizes),), -1, device=objects.device)

        def last(applies: Tensor) -> Tensor:
            """The last object of which such a cell lies in a region, -1 where it lies in none."""
            return nobody.scatter_reduce(0, cell, torch.where(applies, owner, -1), "amax")

        around = last(kind == 0)
        middle, neighbour = last((kind == 1) & (owner == around[cell])), last(kind >= 2)
        assigned = torch.where(middle >= 0, middle, torch.where(around >= 0, IGNORED, BACKGROUND))
        return assigned.masked_fill(neighbour >= 0, IGNORED)

    def _level_of(self, objects: Tensor) -> Tensor:
        """Index of the level whose square anchors are nearest to each object's size, on a log scale."""
        sides = ((objects[:, 2] - objects[:, 0]) * (objects[:, 3] - objects[:, 1])).sqrt()
        finest = sides.new_full((), self.anchor_scale * self.strides[0])
        return (sides.log2() - finest.log2() + 0.5).floor().clamp(0, len(self.strides) - 1).long()

    def _region(
        self, objects: Tensor, level: Tensor, share: float, grid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The cells in the middle ``share`` of each object on a level.

        Returns:
            Index of the first, columns and rows, and columns of the level, int64 ``[G]``, ``[G, 2]`` and
            ``[G]``; an object on a level that is none has no cells.
        """
        exists = (level >= 0) & (level < len(self.strides))
        level = level.clamp(0, len(self.strides) - 1)
        margin = (1 - share) / 2
        corners = objects / (torch.full_like(level, self.strides[0]) << level)[:, None]
        first = ((1 - margin) * corners[:, :2] + margin * corners[:, 2:]).round().clamp(min=0).long()
        last = (margin * corners[:, :2] + (1 - margin) * corners[:, 2:]).round().clamp(min=0).long()
        rows, columns, start = grid[level].unbind(1)
        last = torch.minimum(last, torch.stack([columns, rows], dim=1) - 1)
        extent = (last - first + 1).clamp(min=0) * exists[:, None]
        return start + first[:, 1] * columns + first[:, 0], extent, columns
