"""Boxes of a whole batch in one table, and the choice among them: the same for any number of images."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from srtod.boxes.coders import DeltaCoder
from srtod.boxes.nms import decayed_scores, grouped_nms

_NOTHING = -1.0
"""The score of rows that stand for nothing; scores are at least 0."""


@dataclass(frozen=True)
class DetectionLimits:
    """Which detections are given out.

    Attributes:
        score_threshold: lower scores are dropped.
        nms_iou: overlap above which the worse of two detections of a class goes.
        per_image: the most detections an image.
        soft_nms: the sigma of soft suppression in place of ``nms_iou``, see
            :func:`~srtod.boxes.nms.decayed_scores`.
    """

    score_threshold: float
    nms_iou: float
    per_image: int
    soft_nms: float | None = None


class Candidates(NamedTuple):
    """Boxes of all images of a batch.

    Attributes:
        images: index of each box's image, int64 ``[N]``.
        boxes: ``[N, 4]``, x1 y1 x2 y2 in pixels of the batch.
        scores: ``[N]`` in 0..1; below 0 where a row stands for nothing, so that nobody has to wait for its
            removal.
        groups: class or level, int64 ``[N]``, not negative; boxes of different groups do not suppress each
            other.
    """

    images: Tensor
    boxes: Tensor
    scores: Tensor
    groups: Tensor

    @classmethod
    def together(cls, parts: Iterable[Self]) -> Self:
        """All rows of at least one table."""
        return cls(*(torch.cat(columns) for columns in zip(*parts, strict=True)))

    @property
    def valid(self) -> Tensor:
        """Bool ``[N]``, False where a row stands for nothing."""
        return self.scores >= 0

    @property
    def rois(self) -> Tensor:
        """``[N, 5]``, the index of the image and the box."""
        return torch.cat([self.images[:, None].to(self.boxes), self.boxes], dim=1)

    def rows(self, chosen: Tensor) -> Self:
        """The candidates at the indices ``chosen`` int64 ``[M]``."""
        return type(self)(*(column[chosen] for column in self))

    def where(self, passed: Tensor) -> Self:
        """The candidates where the mask ``passed`` bool ``[N]`` is set; the host waits for their number."""
        return self.rows(passed.nonzero().squeeze(1))

    def with_area(self) -> Self:
        """The same, but what clipping left no area stands for nothing."""
        return self._replace(scores=torch.where(have_area(self.boxes), self.scores, _NOTHING))

    def best(self, *, images: int, iou: float, most: int) -> Self:
        """What is left of each image after non-maximum suppression within the groups.

        The host waits once, for the suppression.

        Args:
            images: how many there are.
            iou: a box that overlaps a better one of its image and group by more than this goes.
            most: boxes an image.

        Returns:
            One image after the other, each by descending score, then rows that stand for nothing: where one
            image has more boxes than are wanted and another less.
        """
        kept = self.rows(grouped_nms(self.boxes, self.scores, self._groups_of_images(images), iou))
        return kept._first(images, most)

    def best_softly(self, *, images: int, sigma: float, above: float, most: int) -> Self:
        """As :meth:`best`, by soft suppression, after which a score must be larger than ``above``."""
        found = self.where(self.valid)
        scores = decayed_scores(found.boxes, found.scores, found._groups_of_images(images), sigma=sigma)
        kept = found._replace(scores=torch.where(scores > above, scores, _NOTHING))
        return kept.rows(kept.scores.argsort(descending=True, stable=True))._first(images, most)

    def _groups_of_images(self, images: int) -> Tensor:
        """A number for each pair of a group and an image, int64 ``[N]``."""
        return self.groups * images + self.images

    def _first(self, images: int, most: int) -> Self:
        """The first rows of each image that stand for something, by image, as :meth:`best` gives them."""
        of_image = (self.images == torch.arange(images, device=self.images.device)[:, None]) & self.valid
        chosen = (of_image & (of_image.cumsum(1) <= most)).any(dim=0)
        kept = self._replace(scores=torch.where(chosen, self.scores, _NOTHING))
        count = kept.scores.shape[0]
        place = torch.where(chosen, kept.images, images) * count + torch.arange(count, device=chosen.device)
        return kept.rows(place.topk(torch.sym_min(count, images * most), largest=False).indices)

    def by_image(self, images: int) -> list[Self]:
        """Split what :meth:`best` gives by image; the host waits once, for all numbers of rows."""
        of_image = (self.images == torch.arange(images, device=self.images.device)[:, None]) & self.valid
        counts = of_image.sum(dim=1).tolist()
        columns = [column[: sum(counts)].split(counts) for column in self]
        return [type(self)(*own) for own in zip(*columns, strict=True)]


def best_of_level(
    logits: Tensor, deltas: Tensor, anchors: Tensor, sizes: Tensor, *, coder: DeltaCoder, most: int
) -> tuple[Candidates, Tensor]:
    """Choose the best pairs of anchor and class of each image on one level.

    Args:
        logits: ``[B, A, classes]``.
        deltas: ``[B, A, 4]``.
        anchors: ``[A, 4]``, or each image's own ``[B, A, 4]``.
        sizes: (height, width) of each image, int64 ``[B, 2]``.
        coder: meaning of the deltas.
        most: pairs an image.

    Returns:
        As many candidates for each image, whose groups are the classes, by descending score; and the anchor
        of each, int64 ``[B, N]``.
    """
    count, _, classes = logits.shape
    flat = logits.flatten(1)
    best, order = flat.topk(torch.sym_min(most, flat.shape[1]))
    rows = order // classes
    corners = rows[..., None].expand(-1, -1, 4)
    references = anchors.expand_as(deltas).gather(1, corners)
    boxes = coder.decode(references, deltas.gather(1, corners), sizes[:, None].unbind(2))
    images = torch.arange(count, device=order.device)[:, None].expand_as(order)
    table = (images, boxes, best.sigmoid(), order % classes)
    return Candidates(*(column.flatten(0, 1) for column in table)), rows


def have_area(boxes: Tensor) -> Tensor:
    """Whether each of ``[N, 4]`` boxes has an area, bool ``[N]``: clipping leaves none to some."""
    return (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
