"""Each object finds the cells near its centre, on the level that fits its size."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from srtod.boxes.assigners.base import BACKGROUND, IGNORED, ignore_hidden


@dataclass(frozen=True)
class RegionAssigner:
    """Assign cells, one anchor each, by where they lie in the objects (guided anchoring, Wang et al., 2019).

    On the level whose anchors are nearest to an object's size, cells in its middle are positive and those
    around them ignored. Of two objects there the later decides, also where it only ignores. Cells around the
    middle on the levels above and below are ignored, even where another object is positive. A middle
    holds at least one cell, its ends being rounded to cells, unless it lies beyond the last cell to the right
    or below; beyond the first to the left or above it takes that cell. All this as in MMDetection.

    Cells are counted out region by region: time and memory grow with the cells inside the objects, not with
    objects times cells.

    Attributes:
        strides: of the levels in pixels, each twice the one before.
        anchor_scale: side of the anchors in units of the stride.
        positive_share: of an object's width and height, the middle in which cells are positive.
        ignored_share: likewise, the middle in which cells are not background.
        ignore_share: background cells with more than this share of their anchor's area in a region to ignore
            become ignored.
    """

    strides: tuple[int, ...]
    anchor_scale: float
    positive_share: float = 0.2
    ignored_share: float = 0.5
    ignore_share: float = 0.5

    def __call__(
        self, anchors: Tensor, sizes: Sequence[tuple[int, int]], objects: Tensor, ignore_regions: Tensor
    ) -> Tensor:
        """Assign.

        Args:
            anchors: one for each cell of all levels ``[N, 4]``, row by row.
            sizes: (h, w) of each level in cells.
            objects: ground truth ``[G, 4]``; G may be 0.
            ignore_regions: ``[R, 4]``; R may be 0.

        Returns:
            int64 ``[N]``: index of the object, ``BACKGROUND`` or ``IGNORED``.
        """
        grid = torch.tensor(sizes, device=anchors.device)
        level = self._level_of(objects)
        around, last_of = self._cells(objects, level, self.ignored_share, grid)
        last = torch.full((len(anchors),), -1, device=anchors.device)
        last = last.scatter_reduce(0, around, last_of, "amax")
        assigned = torch.where(last >= 0, IGNORED, BACKGROUND)
        middle, owner = self._cells(objects, level, self.positive_share, grid)
        decides = last[middle] == owner
        assigned[middle[decides]] = owner[decides]
        for neighbour in (level - 1, level + 1):
            exists = (neighbour >= 0) & (neighbour < len(self.strides))
            around, _ = self._cells(objects[exists], neighbour[exists], self.ignored_share, grid)
            assigned[around] = IGNORED
        ignore_hidden(assigned, anchors, ignore_regions, share=self.ignore_share)
        return assigned

    def _level_of(self, objects: Tensor) -> Tensor:
        """Index of the level whose square anchors are nearest to each object's size, on a log scale."""
        sides = ((objects[:, 2] - objects[:, 0]) * (objects[:, 3] - objects[:, 1])).sqrt()
        finest = sides.new_tensor(self.anchor_scale * self.strides[0])
        return (sides.log2() - finest.log2() + 0.5).floor().clamp(0, len(self.strides) - 1).long()

    def _cells(self, objects: Tensor, level: Tensor, share: float, grid: Tensor) -> tuple[Tensor, Tensor]:
        """Every cell in the middle ``share`` of each object on its level, and the object's index.

        Returns:
            int64 ``[K]`` each, cells counted over all levels.
        """
        first, last = self._ends(objects, level, share, grid)
        extent = (last - first + 1).clamp(min=0)
        count = extent.prod(dim=1)
        owner = torch.arange(len(objects), device=objects.device).repeat_interleave(count)
        place = torch.arange(len(owner), device=objects.device) - (count.cumsum(0) - count)[owner]
        columns = extent[owner, 0]
        x, y = first[owner, 0] + place % columns, first[owner, 1] + place // columns
        areas = grid.prod(dim=1)
        return (areas.cumsum(0) - areas)[level[owner]] + y * grid[level[owner], 1] + x, owner

    def _ends(self, objects: Tensor, level: Tensor, share: float, grid: Tensor) -> tuple[Tensor, Tensor]:
        """First and last (column, row) of the middle ``share`` of each object on its level, ``[G, 2]``."""
        margin = (1 - share) / 2
        corners = objects / grid.new_tensor(self.strides)[level][:, None]
        first = ((1 - margin) * corners[:, :2] + margin * corners[:, 2:]).round().clamp(min=0)
        last = (margin * corners[:, :2] + (1 - margin) * corners[:, 2:]).round().clamp(min=0)
        return first.long(), torch.minimum(last.long(), grid.flip(1)[level] - 1)
