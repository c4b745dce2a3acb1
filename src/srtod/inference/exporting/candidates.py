"""Boxes of a whole batch in one table, because a program does not know how many images it will be given."""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from srtod.boxes.coders import DeltaCoder
from srtod.inference.exporting.nms import grouped_nms


class Candidates(NamedTuple):
    """Boxes of all images of a batch.

    Attributes:
        images: index of each box's image, int64 ``[N]``.
        boxes: ``[N, 4]``, x1 y1 x2 y2 in pixels of the batch.
        scores: ``[N]`` in 0..1.
        groups: class or level, int64 ``[N]``; boxes of different groups do not suppress each other.
    """

    images: Tensor
    boxes: Tensor
    scores: Tensor
    groups: Tensor

    def rows(self, chosen: Tensor) -> Self:
        """The candidates at the indices ``chosen`` int64 ``[M]``."""
        return type(self)(*(part[chosen] for part in self))

    def best(self, *, images: int, groups: int, iou: float, most: int) -> Self:
        """What is left of each image after non-maximum suppression within the groups.

        Args:
            images: how many there are.
            groups: how many there are.
            iou: a box that overlaps a better one of its image and group by more than this goes.
            most: boxes an image.

        Returns:
            One image after the other, each by descending score.
        """
        own = self.images * groups + self.groups
        kept = self.rows(grouped_nms(self.boxes, self.scores, own, images * groups, iou))
        of_image = kept.images == torch.arange(images, device=own.device)[:, None]
        chosen = (of_image & (of_image.cumsum(1) <= most)).nonzero()[:, 1]
        return kept.rows(chosen)


class Level(NamedTuple):
    """The best pairs of anchor and class of one level, as many for each image.

    Attributes:
        candidates: their groups are the classes.
        rows: index among all anchors of the level and the batch, image after image, int64 ``[N]``.
    """

    candidates: Candidates
    rows: Tensor


def best_of_level(
    logits: Tensor, deltas: Tensor, anchors: Tensor, sizes: Tensor, *, coder: DeltaCoder, most: int
) -> Level:
    """Choose the best pairs of anchor and class of each image on one level.

    Args:
        logits: ``[B, A, classes]``.
        deltas: ``[B, A, 4]``.
        anchors: ``[A, 4]``.
        sizes: (height, width) of each image, int64 ``[B, 2]``.
        coder: meaning of the deltas.
        most: pairs an image.
    """
    count, anchor_count, classes = logits.shape
    flat = logits.flatten(1)
    best, order = flat.topk(torch.sym_min(most, flat.shape[1]))
    images = torch.arange(count, device=order.device)[:, None].expand_as(order).flatten()
    own = order.flatten() // classes
    rows = images * anchor_count + own
    heights, widths = sizes[images].unbind(1)
    boxes = coder.decode(anchors[own], deltas.flatten(0, 1)[rows], (heights, widths))
    return Level(Candidates(images, boxes, best.flatten().sigmoid(), order.flatten() % classes), rows)
