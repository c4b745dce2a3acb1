"""What all assigners share: the marks, what they are called with, and numbers that order pairs."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from srtod.boxes.references import References

BACKGROUND = -1
IGNORED = -2


class Assigner(Protocol):
    """Decides which box is to find which object."""

    def __call__(self, levels: Sequence[Tensor] | References, objects: Tensor) -> Tensor:
        """Assign.

        Args:
            levels: boxes ``[N_l, 4]`` of each level, or all in one (few assigners treat levels apart); better
                the :class:`~srtod.boxes.grid.AnchorGrid` that they stand on, which gives the same result
                without comparing all of them with all objects.
            objects: ground truth ``[G, 4]``; G may be 0.

        Returns:
            int64 ``[sum of N_l]``: index of the object, ``BACKGROUND`` or ``IGNORED``.
        """
        ...


def ranked(values: Tensor, numbers: Tensor) -> Tensor:
    """One int64 for each value and number, ordered by value, then by number, so that one maximum finds both.

    Args:
        values: float32, not negative, whose bits are ordered as they are.
        numbers: int64 in 0..2^31.
    """
    return (values.view(torch.int32).long() << 32) | numbers


def unranked(ranks: Tensor) -> tuple[Tensor, Tensor]:
    """Values and numbers of :func:`ranked`."""
    return (ranks >> 32).int().view(torch.float32), ranks & 0xFFFFFFFF
