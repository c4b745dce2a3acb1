"""Which of the assigned boxes take part in a loss."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from srtod.boxes.assigners.base import BACKGROUND


class Samples(NamedTuple):
    """Indices of the boxes that were drawn.

    Attributes:
        positive: int64 ``[P]``.
        negative: int64 ``[Q]``.
    """

    positive: Tensor
    negative: Tensor


@dataclass(frozen=True)
class RandomSampler:
    """Draw boxes at random, a bounded share of them positive (Faster R-CNN).

    Attributes:
        number: how many to draw; None keeps every candidate.
        positive_share: the largest share of positive ones; negative ones fill the rest.
    """

    number: int | None
    positive_share: float

    def __call__(self, assigned: Tensor, generator: torch.Generator | None = None) -> Samples:
        """Draw from an assignment, int64 ``[N]`` as the assigners give it.

        Args:
            assigned: index of the object, ``BACKGROUND`` or ``IGNORED``.
            generator: source of randomness on the device of ``assigned``; None is the global one.
        """
        positive = (assigned >= 0).nonzero().squeeze(1)
        negative = (assigned == BACKGROUND).nonzero().squeeze(1)
        if self.number is None:
            return Samples(positive, negative)
        positive = _draw(positive, int(self.number * self.positive_share), generator)
        return Samples(positive, _draw(negative, self.number - len(positive), generator))


def _draw(candidates: Tensor, number: int, generator: torch.Generator | None) -> Tensor:
    if len(candidates) <= number:
        return candidates
    order = torch.randperm(len(candidates), generator=generator, device=candidates.device)
    return candidates[order[:number]]
