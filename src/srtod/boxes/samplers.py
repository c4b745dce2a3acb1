"""Which of the assigned boxes take part in a loss."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from srtod.boxes.assigners.base import BACKGROUND, IGNORED


class Samples(NamedTuple):
    """The boxes that were sampled, as many whatever the assignment.

    Attributes:
        rows: their indices, int64 ``[K]``.
        assigned: index of the object of each, ``BACKGROUND``, or ``IGNORED`` where it only fills up a place.
    """

    rows: Tensor
    assigned: Tensor

    @property
    def positive(self) -> Tensor:
        """Which of them are to find an object, bool ``[K]``."""
        return self.assigned >= 0

    @property
    def valid(self) -> Tensor:
        """Which of them take part, bool ``[K]``."""
        return self.assigned != IGNORED


@dataclass(frozen=True)
class RandomSampler:
    """Sample boxes at random, a bounded share of them positive (Faster R-CNN).

    Each box gets a random key, and those with the highest keys are taken, positive ones first. So the number
    of rows does not depend on values, and no host has to wait for these.

    Attributes:
        number: how many to sample; None keeps every box.
        positive_share: the largest share of positive ones; negative ones fill the rest.
    """

    number: int | None
    positive_share: float

    def __call__(self, assigned: Tensor, generator: torch.Generator | None = None) -> Samples:
        """Sample from an assignment, int64 ``[N]`` as the assigners give it.

        Args:
            assigned: index of the object, ``BACKGROUND`` or ``IGNORED``.
            generator: source of randomness on the device of ``assigned``; None is the global one.
        """
        if self.number is None:
            return Samples(torch.arange(len(assigned), device=assigned.device), assigned)
        keys = torch.rand(len(assigned), generator=generator, device=assigned.device)
        most = min(int(self.number * self.positive_share), len(keys))
        best, rows = torch.where(assigned >= 0, keys, -1).topk(most)
        keys = torch.where(assigned == BACKGROUND, keys, -1)
        keys.scatter_reduce_(0, rows, best + (best >= 0), "amax")
        best, rows = keys.topk(min(self.number, len(keys)))
        return Samples(rows, assigned[rows].masked_fill(best < 0, IGNORED))
