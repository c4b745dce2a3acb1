"""Boxes that are to find objects, and the pairs of both that matter to an assigner."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from srtod.boxes.anchors import scaled_boxes
from srtod.boxes.overlaps import box_iou, gaussian_similarity, largest_iof

_BLOCK_ELEMENTS = 1 << 19
"""Most pairs that exist at once, so that dense scenes stay in bounded memory."""
_TIMES_ON_CUDA = 8
"""A CPU is fastest with what its caches hold, a GPU with enough to keep it busy."""
_FAR = -1e30
"""Where boxes lie that take no part: no object overlaps them, and none is nearer to them than to others."""


class Pairs(NamedTuple):
    """Pairs of a box and an object.

    Attributes:
        boxes: index of the box, int64 ``[P]``.
        objects: index of the object, int64 ``[P]``.
        values: what was asked for, ``[P]``.
    """

    boxes: Tensor
    objects: Tensor
    values: Tensor


class References:
    """Boxes of one image that are to find objects, wherever they lie: each is compared with each object.

    Pairs come in parts of bounded size, all those of one object together and objects in order.

    Args:
        levels: boxes ``[N_l, 4]`` of each level, or all in one.
        rows: indices of the boxes of each level that belong to the image, counted over all levels, int64;
            None where all do.
        valid: bool ``[sum of N_l]``, False for boxes that take no part; None where all do.

    Attributes:
        levels: the boxes of the image; those that take no part lie far away.
        boxes: all of them, ``[N, 4]``.
        rows: their indices among the given ones, int64 ``[N]``, or None.
        valid: which of them take part, bool ``[N]``, or None.
    """

    def __init__(
        self, levels: Sequence[Tensor], *, rows: Sequence[Tensor] | None = None, valid: Tensor | None = None
    ) -> None:
        boxes = torch.cat(list(levels))
        if valid is not None:
            boxes = boxes.masked_fill(~valid[:, None], _FAR)
        self.levels = list(boxes.split([len(own) for own in levels]))
        self.boxes, self.rows, self.valid = boxes, None, valid
        if rows is not None:
            self.levels, self.rows = [boxes[own] for own in rows], torch.cat(list(rows))
            self.boxes = torch.cat(self.levels)
            self.valid = None if valid is None else valid[self.rows]

    def overlapping(self, objects: Tensor) -> Iterator[Pairs]:
        """All pairs that share an area, among others, with their IoU."""
        for block in blocks(len(objects), len(self.boxes), self.boxes.device):
            yield _all_pairs(box_iou(objects[block], self.boxes), block.start)

    def nearest(self, objects: Tensor, number: int) -> Tensor:
        """Indices of the boxes of each level whose centres are nearest to each object's, nearest first.

        Args:
            objects: ``[G, 4]``.
            number: of each level, or all of it. Which ones, of several that are equally near, is up to
                ``topk``.

        Returns:
            int64 ``[G, number of all levels]``.
        """
        candidates, start = [], 0
        for level in self.levels:
            candidates.append(start + nearest_points(box_centres(objects), box_centres(level), number))
            start += len(level)
        return torch.cat(candidates, dim=1)

    def fitting(self, objects: Tensor, most: int, *, shrink: float | None, least: float) -> Iterator[Pairs]:
        """All pairs that an object may rank among its best, or that fit well, among others.

        Args:
            objects: ``[G, 4]``.
            most: boxes that each object ranks best, and all those that tie with the last of them.
            shrink: factor on the sides of the boxes; None leaves them as they are.
            least: pairs of at least this similarity fit well.

        Returns:
            With their :func:`~srtod.boxes.overlaps.gaussian_similarity`.
        """
        boxes = self.boxes if shrink is None else scaled_boxes(self.boxes, shrink)
        for block in blocks(len(objects), len(boxes), boxes.device):
            scores = gaussian_similarity(objects[block], boxes)
            last = scores.topk(min(most, len(boxes)), dim=1).values[:, -1:]
            rows, columns = (scores >= last.clamp(max=least)).nonzero().unbind(1)
            yield Pairs(columns, rows + block.start, scores[rows, columns])

    def hidden(self, regions: Tensor, most: float) -> Tensor:
        """Which boxes have more than a share of their own area in one region ``[R, 4]``, bool ``[N]``."""
        hidden = torch.zeros(len(self.boxes), dtype=torch.bool, device=self.boxes.device)
        for block in blocks(len(self.boxes), len(regions), regions.device):
            hidden[block] = largest_iof(self.boxes[block], regions) > most
        return hidden


def as_references(levels: Sequence[Tensor] | References) -> References:
    """Boxes of any kind, as they are, or boxes ``[N_l, 4]`` of levels."""
    return levels if isinstance(levels, References) else References(levels)


def blocks(rows: int, columns: int, device: torch.device) -> Iterator[slice]:
    """Slices of the rows of a pairwise matrix, each small enough to be held; none where it has no columns.

    Results go into tensors that exist before the loop: small ones that outlive a block would lie between its
    large ones and keep their memory from being used again (gigabytes for 3,000 objects, measured).
    """
    step = max(pairs_at_once(device) // max(columns, 1), 1)
    return (slice(start, start + step) for start in range(0, rows if columns else 0, step))


def pairs_at_once(device: torch.device) -> int:
    """How many pairs are held at once."""
    return _BLOCK_ELEMENTS * (_TIMES_ON_CUDA if device.type == "cuda" else 1)


def box_centres(boxes: Tensor) -> Tensor:
    """Centres of ``[..., 4]`` boxes, ``[..., 2]``."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _all_pairs(values: Tensor, first: int) -> Pairs:
    """The pairs of a matrix whose first row is that of the object ``first``."""
    objects = torch.arange(first, first + len(values), device=values.device)[:, None].expand_as(values)
    boxes = torch.arange(values.shape[1], device=values.device).expand_as(values)
    return Pairs(boxes.flatten(), objects.flatten(), values.flatten())


def nearest_points(points: Tensor, others: Tensor, number: int) -> Tensor:
    """Indices of the ``number`` (or all) of ``[N, 2]`` nearest to each of ``[G, 2]``, ``[G, number]``."""
    number = min(number, len(others))
    nearest = torch.empty(len(points), number, dtype=torch.int64, device=points.device)
    others_x, others_y = others.T.contiguous().unbind(0)  # twice as fast as strided ones
    for block in blocks(len(points), len(others), points.device):
        x, y = points[block, :, None].unbind(1)
        distances = (x - others_x).square_().add_((y - others_y).square_())
        nearest[block] = distances.topk(number, dim=1, largest=False).indices
    return nearest
