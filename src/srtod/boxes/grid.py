"""Anchors on a grid of cells, which tells without looking at them all which are near an object."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from srtod.boxes.anchors import AnchorGenerator, scaled_boxes
from srtod.boxes.overlaps import paired_gaussian_similarity, paired_iof, paired_iou
from srtod.boxes.references import Pairs, References, blocks, box_centres, nearest_points, pairs_at_once
from srtod.nn.kept import kept

_SIDE_ERROR = 2e-6
"""How wrong the sides of an anchor are through the rounding of its corners, as a share of these."""
_CENTRE_ERROR = 0.01
"""How far the centre of an anchor may be from the corner of its cell through rounding, in pixels."""


class _Shapes(NamedTuple):
    """The shapes of anchors of all levels, S in all.

    Attributes:
        corners: around the corner of their cell, ``[S, 4]``.
        stride: of their cells in pixels, ``[S]``.
        last: column and row of their level, int64 ``[S, 2]``.
        columns: of their level, int64 ``[S]``.
        start: cells of all levels before theirs, int64 ``[S]``.
        farthest: coordinate of their cells in pixels, int64 ``[S]``.
    """

    corners: Tensor
    stride: Tensor
    last: Tensor
    columns: Tensor
    start: Tensor
    farthest: Tensor


class AnchorGrid(References):
    """The anchors of one image: pairs with objects are counted out cell by cell.

    Time and memory grow with the anchors that are near objects, not with anchors times objects. What is
    found is the same, to the last bit, as among the boxes alone. The host waits once a call, for the number
    of pairs.

    Args:
        generator: of the anchors.
        sizes: (h, w) of each level of the batch in cells.
        device: where the anchors are.
        padded_size: (height, width) of the image in pixels, padded on its own, in a batch that is padded
            further; None where all cells are its own.
        within: (height, width) of the image and a border, all in pixels: anchors that lie further outside
            take no part; None lets all take part.
    """

    def __init__(
        self,
        generator: AnchorGenerator,
        sizes: Sequence[tuple[int, int]],
        device: torch.device,
        *,
        padded_size: tuple[int, int] | None = None,
        within: tuple[tuple[int, int], float] | None = None,
    ) -> None:
        anchors = generator(sizes, device)
        rows = None if padded_size is None else generator.valid_rows(sizes, padded_size, device)
        valid = None if within is None else _inside(torch.cat(anchors), *within)
        super().__init__(anchors, rows=rows, valid=valid)
        own = sizes if padded_size is None else generator.own_sizes(sizes, padded_size)
        self._generator, self._sizes = generator, [(h, w) for h, w in own]
        self._shapes = _shapes_of(generator, tuple(self._sizes), device)
        self._first, self._last = torch.zeros_like(self._shapes.last), self._shapes.last
        if self.valid is not None:
            masks = self.valid.split([len(level) for level in self.levels])
            parts = [_rectangles(mask.view(*size, -1)) for mask, size in zip(masks, self._sizes, strict=True)]
            self._first, self._last = (torch.cat(part) for part in zip(*parts, strict=True))

    def overlapping(self, objects: Tensor) -> Iterator[Pairs]:
        """See :meth:`References.overlapping`."""
        for rows, owners in self._touching(objects):
            overlaps = paired_iou(objects[owners], self.boxes[rows])
            yield Pairs(rows, owners, overlaps)

    def hidden(self, regions: Tensor, most: float) -> Tensor:
        """See :meth:`References.hidden`."""
        share = self.boxes.new_zeros(len(self.boxes))
        for rows, owners in self._touching(regions) if len(regions) else ():
            own = paired_iof(self.boxes[rows], regions[owners])
            share.scatter_reduce_(0, rows, own, "amax")
        return share > most

    def nearest(self, objects: Tensor, number: int) -> Tensor:
        """See :meth:`References.nearest`; objects to which several are equally near are compared with all."""
        side = 2 * math.ceil(math.sqrt(number / math.pi) + 0.2) + 1  # a disc of so many cells, and some more
        parts = [
            self._nearest(objects[block], number, side)
            for block in blocks(len(objects), len(self._shapes.start) * side**2, objects.device)
        ]
        candidates, certain = (torch.cat(part) for part in zip(*parts, strict=True))
        rest = (~certain).nonzero().flatten()
        candidates[rest] = super().nearest(objects[rest], number)
        return candidates

    def fitting(self, objects: Tensor, most: int, *, shrink: float | None, least: float) -> Iterator[Pairs]:
        """See :meth:`References.fitting`."""
        stride, side = self._shapes.stride[:, None], math.ceil(math.sqrt(most))
        for block in blocks(len(objects), len(stride) * side**2, objects.device):
            own = objects[block]
            score = self._reached(own, most, side, shrink).clamp(min=0, max=max(least, 0))
            centres, reach = box_centres(own)[:, None], self._reach(own, score, shrink)
            for rows, owners in self._within((centres - reach) / stride, (centres + reach) / stride):
                scores = self._similarity(own[owners], rows, shrink)
                yield Pairs(rows, owners + block.start, scores)

    def _touching(self, objects: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Anchors that share an area with each object, and few others."""
        corners, stride = self._shapes.corners, self._shapes.stride[:, None]
        low, high = objects[:, None, :2] - corners[:, 2:], objects[:, None, 2:] - corners[:, :2]
        return self._within(low / stride, high / stride)

    def _within(self, low: Tensor, high: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """All anchors whose cells lie in a rectangle for each object and shape.

        Args:
            low: (column, row) where it begins, ``[G, S, 2]``.
            high: where it ends, inclusive.

        Yields:
            Index of the anchor and of the object, int64 ``[P]`` each: all of some objects, then of others.
        """
        begin = torch.maximum(low.ceil(), self._first)
        extent = (torch.minimum(high.floor(), self._last) - begin + 1).clamp_(min=0).long()
        columns = self._shapes.columns
        first = self._shapes.start + begin[..., 1].long() * columns + begin[..., 0].long()
        per_cell, each = self._generator.per_cell, len(columns)
        for block, total in _parts(extent.prod(dim=2).sum(dim=1), pairs_at_once(low.device)):
            own = (first[block], extent[block], columns.expand(len(first[block]), -1))
            cell, owner = cells_of(*(part.flatten(0, 1) for part in own), total=total)
            yield cell * per_cell + owner % per_cell, owner // each + block.start

    def _nearest(self, objects: Tensor, number: int, side: int) -> tuple[Tensor, Tensor]:
        """Anchors of each level nearest to each object, as far as a window shows, and whether it is sure."""
        found, start, centres = [], 0, box_centres(objects)
        certain = torch.ones(len(objects), dtype=torch.bool, device=objects.device)
        ends = self._shapes.last[:: self._generator.per_cell]
        for (h, w), last, stride, level in zip(
            self._sizes, ends, self._generator.strides, self.levels, strict=True
        ):
            if min(h, w) < side:
                nearest = nearest_points(centres, box_centres(level), number)
            else:
                cells, bound = _window(centres / stride, last, w, side)
                per_cell = torch.arange(self._generator.per_cell, device=objects.device)
                anchors = (cells[..., None] * len(per_cell) + per_cell).flatten(1)
                x, y = (centres[:, None] - box_centres(level[anchors])).unbind(2)
                distances, order = x.square_().add_(y.square_()).topk(number + 1, dim=1, largest=False)
                farthest = distances[:, number - 1]
                certain &= (farthest < distances[:, number]) & (farthest < 0.99 * bound * stride**2)
                nearest = anchors.gather(1, order[:, :number])
            found.append(start + nearest)
            start += len(level)
        return torch.cat(found, dim=1), certain

    def _reached(self, objects: Tensor, most: int, side: int, shrink: float | None) -> Tensor:
        """A similarity to each object that so many anchors reach, ``[G, 1]``."""
        shapes = self._shapes
        nearest = (box_centres(objects)[:, None] / shapes.stride[:, None] - (side - 1) / 2).round()
        first = torch.maximum(nearest.minimum(self._last - side + 1), self._first)
        steps = torch.arange(side, device=objects.device)
        x, y = first[..., :1, None] + steps, first[..., 1:, None] + steps[:, None]
        exists = (x <= self._last[:, :1, None]) & (y <= self._last[:, 1:, None])
        cell = shapes.start[:, None, None] + (y * shapes.columns[:, None, None] + x).long()
        per_cell = self._generator.per_cell
        rows = (
            cell * per_cell + (torch.arange(len(shapes.start), device=cell.device) % per_cell)[:, None, None]
        )
        rows = rows.masked_fill(~exists, 0).flatten(1)
        if rows.shape[1] < most:
            return objects.new_zeros(len(objects), 1)
        owners = torch.arange(len(objects), device=cell.device)[:, None].expand_as(rows).flatten()
        scores = self._similarity(objects[owners], rows.flatten(), shrink).view_as(rows)
        return scores.masked_fill(~exists.flatten(1), 0).topk(most, dim=1).values[:, -1:]

    def _reach(self, objects: Tensor, score: Tensor, shrink: float | None) -> Tensor:
        """How far from an object's centre that of an anchor may be at least similarity, in pixels.

        The terms of the similarity that do not depend on the centres are known for each shape; what they
        leave is the squared distance in units of half the object's sides.

        Args:
            objects: ``[G, 4]``.
            score: that similarity, ``[G, 1]``.
            shrink: factor on the sides of the anchors, or None.

        Returns:
            In x and y, ``[G, S, 2]``; rather too large than too small by the errors of rounding, and negative
            where no anchor is that similar.
        """
        shapes = self._shapes
        sides = (objects[:, 2:] - objects[:, :2] + 1e-6)[:, None]
        own = (shapes.corners[:, 2:] - shapes.corners[:, :2]) * (1 if shrink is None else shrink) + 1e-6
        ratios = (own / sides).square()
        logs, most = ratios.log(), 2 / score
        error = 1e-5 + _SIDE_ERROR * shapes.farthest / own.amin(dim=1)
        room = most - (ratios - logs).sum(dim=2) + error * ((ratios + logs.abs()).sum(dim=2) + 2 + most)
        reach = sides / 2 * room.clamp(min=0).sqrt()[..., None] + _CENTRE_ERROR
        return reach.masked_fill((room < 0)[..., None], -1)

    def _similarity(self, objects: Tensor, rows: Tensor, shrink: float | None) -> Tensor:
        """Similarity of each object ``[P, 4]`` and the anchor of a row ``[P]``."""
        anchors = self.boxes[rows]
        return paired_gaussian_similarity(
            objects, anchors if shrink is None else scaled_boxes(anchors, shrink)
        )


def cells_of(
    first: Tensor, extent: Tensor, columns: Tensor, *, total: int | None = None
) -> tuple[Tensor, Tensor]:
    """Every cell of rectangles of cells.

    Args:
        first: index of the first cell of each, int64 ``[K]``.
        extent: columns and rows of each, int64 ``[K, 2]``.
        columns: of the grid that each lies in, int64 ``[K]``.
        total: how many cells there are; None makes the host wait for it.

    Returns:
        Index of the cell and of its rectangle, int64 ``[P]`` each.
    """
    count = extent.prod(dim=1)
    owner = torch.arange(len(count), device=count.device).repeat_interleave(count, output_size=total)
    place = torch.arange(len(owner), device=count.device) - (count.cumsum(0) - count)[owner]
    row = place // extent[:, 0][owner]
    return first[owner] + place + row * (columns - extent[:, 0])[owner], owner


def _parts(counts: Tensor, most: int) -> Iterator[tuple[slice, int]]:
    """Slices that together have at most so many of the ``counts``, or are of one, and how many they have."""
    ends, start = [0, *counts.cumsum(0).tolist()], 0
    while start < len(counts):
        stop = max(bisect_right(ends, ends[start] + most) - 1, start + 1)
        if ends[stop] > ends[start]:
            yield slice(start, stop), ends[stop] - ends[start]
        start = stop


def _window(points: Tensor, last: Tensor, columns: int, side: int) -> tuple[Tensor, Tensor]:
    """The cells of a square window around points, and how far those beyond it are at least.

    Args:
        points: in cells, ``[G, 2]``.
        last: column and row of the grid, int64 ``[2]``.
        columns: of the grid; like the rows, not less than the side.
        side: of the window, odd.

    Returns:
        Indices of cells, int64 ``[G, side^2]``, and squares of distances in cells, ``[G]``.
    """
    nearest = points.round().clamp(min=0).minimum(last)
    first = (nearest - side // 2).clamp(min=0).minimum(last - side + 1)
    before = (points - first + 1).square().masked_fill(first == 0, math.inf)
    behind = (points - first - side).square().masked_fill(first + side > last, math.inf)
    beyond = torch.minimum(before, behind) + (points - nearest).square().flip(1)
    steps = torch.arange(side, device=points.device)
    cells = (steps[:, None] * columns + steps).flatten()
    return (first[:, 1] * columns + first[:, 0]).long()[:, None] + cells, beyond.amin(dim=1)


def _inside(boxes: Tensor, size: tuple[int, int], border: float) -> Tensor:
    """Which boxes ``[N, 4]`` cross the edge of an image by at most so many pixels, bool ``[N]``."""
    (x1, y1, x2, y2), (height, width) = boxes.unbind(1), size
    return ~((x1 < -border) | (y1 < -border) | (x2 >= width + border) | (y2 >= height + border))


def _rectangles(valid: Tensor) -> tuple[Tensor, Tensor]:
    """First and last (column, row), ``[A, 2]``, of each shape's rectangle of valid cells, ``[h, w, A]``."""
    sides = [valid.any(dim=0), valid.any(dim=1)]
    first = torch.stack([side.int().argmax(dim=0) for side in sides], dim=1)
    return first, first + torch.stack([side.sum(dim=0) for side in sides], dim=1) - 1


@kept(16)
def level_table(sizes: tuple[tuple[int, int], ...], device: torch.device) -> Tensor:
    """Height and width of each level in cells, and the cells of those before it, int64 ``[levels, 3]``."""
    areas = [h * w for h, w in sizes]
    starts = [sum(areas[:level]) for level in range(len(sizes))]
    return torch.tensor([(h, w, start) for (h, w), start in zip(sizes, starts, strict=True)], device=device)


@kept(16)
def _shapes_of(
    generator: AnchorGenerator, sizes: tuple[tuple[int, int], ...], device: torch.device
) -> _Shapes:
    levels = level_table(sizes, device).repeat_interleave(generator.per_cell, dim=0)
    strides = torch.tensor(generator.strides, device=device).repeat_interleave(generator.per_cell)
    last = levels[:, [1, 0]] - 1
    return _Shapes(
        corners=torch.cat(generator.shapes()).to(device),
        stride=strides.float(),
        last=last,
        columns=levels[:, 1],
        start=levels[:, 2],
        farthest=(last.amax(dim=1) + 1) * strides,
    )
