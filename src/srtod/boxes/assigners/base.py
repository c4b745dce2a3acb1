"""What all assigners share: the marks, the blocks, and the regions to ignore."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from srtod.boxes.overlaps import share_inside

BACKGROUND = -1
IGNORED = -2

_BLOCK_ELEMENTS = 1 << 21
"""Most entries of the pairwise matrix that exist at once, so that dense scenes stay in bounded memory."""


class Assigner(Protocol):
    """Decides which box is to find which object."""

    def __call__(self, boxes: Tensor, objects: Tensor, ignore_regions: Tensor) -> Tensor:
        """Assign.

        Args:
            boxes: anchors or proposals ``[N, 4]``.
            objects: ground truth ``[G, 4]``; G may be 0.
            ignore_regions: ``[R, 4]``; R may be 0.

        Returns:
            int64 ``[N]``: index of the object, ``BACKGROUND`` or ``IGNORED``.
        """
        ...


class LevelAssigner(Protocol):
    """Decides which box is to find which object, and may treat the levels that the boxes are on apart."""

    def __call__(self, levels: Sequence[Tensor], objects: Tensor, ignore_regions: Tensor) -> Tensor:
        """Assign.

        Args:
            levels: anchors ``[N_l, 4]`` of each level.
            objects: ground truth ``[G, 4]``; G may be 0.
            ignore_regions: ``[R, 4]``; R may be 0.

        Returns:
            int64 ``[sum of N_l]``: index of the object, ``BACKGROUND`` or ``IGNORED``.
        """
        ...


@dataclass(frozen=True)
class AcrossLevels:
    """An assigner to which the boxes of all levels are alike.

    Attributes:
        assigner: assigns them.
    """

    assigner: Assigner

    def __call__(self, levels: Sequence[Tensor], objects: Tensor, ignore_regions: Tensor) -> Tensor:
        """Assign (see :class:`LevelAssigner`)."""
        return self.assigner(torch.cat(list(levels)), objects, ignore_regions)


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of the rows of a pairwise matrix, each small enough to be held; none where it has no columns.

    Results go into tensors that exist before the loop: small ones that outlive a block would lie between its
    large ones and keep their memory from being used again (gigabytes for 3,000 objects, measured).
    """
    step = max(_BLOCK_ELEMENTS // max(columns, 1), 1)
    return (slice(start, start + step) for start in range(0, rows if columns else 0, step))


def ignore_hidden(assigned: Tensor, boxes: Tensor, ignore_regions: Tensor, *, share: float) -> None:
    """Mark background boxes ``IGNORED``, in place, that lie in a region to ignore; positive ones stay.

    Args:
        assigned: int64 ``[N]``.
        boxes: ``[N, 4]``.
        ignore_regions: ``[R, 4]``.
        share: more than this share of a box's own area must lie in one region.
    """
    for block in blocks(len(boxes), len(ignore_regions)):
        hidden = share_inside(boxes[block], ignore_regions) > share
        assigned[block] = assigned[block].masked_fill(hidden & (assigned[block] == BACKGROUND), IGNORED)
