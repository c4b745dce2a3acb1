"""What all assigners share: the marks, and the blocks that bound their memory."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

BACKGROUND = -1
IGNORED = -2

_BLOCK_ELEMENTS = 1 << 21
"""Most entries of the pairwise matrix that exist at once, so that dense scenes stay in bounded memory."""
_TIMES_ON_CUDA = 8
"""A CPU is fastest with what its caches hold, a GPU with enough to keep it busy."""


class Assigner(Protocol):
    """Decides which box is to find which object."""

    def __call__(self, levels: Sequence[Tensor], objects: Tensor) -> Tensor:
        """Assign.

        Args:
            levels: boxes ``[N_l, 4]`` of each level, or all in one; few assigners treat levels apart.
            objects: ground truth ``[G, 4]``; G may be 0.

        Returns:
            int64 ``[sum of N_l]``: index of the object, ``BACKGROUND`` or ``IGNORED``.
        """
        ...


def blocks(rows: int, columns: int, device: torch.device) -> Iterator[slice]:
    """Slices of the rows of a pairwise matrix, each small enough to be held; none where it has no columns.

    Results go into tensors that exist before the loop: small ones that outlive a block would lie between its
    large ones and keep their memory from being used again (gigabytes for 3,000 objects, measured).
    """
    elements = _BLOCK_ELEMENTS * (_TIMES_ON_CUDA if device.type == "cuda" else 1)
    step = max(elements // max(columns, 1), 1)
    return (slice(start, start + step) for start in range(0, rows if columns else 0, step))


def last_of(pairs: Tensor, rows: slice) -> Tensor:
    """The last row of a block in which each column is set, int64 ``[N]``; -1 where none is.

    Args:
        pairs: bool ``[n, N]``.
        rows: of the whole matrix that the block holds.
    """
    numbers = torch.arange(rows.start, rows.start + len(pairs), dtype=torch.int32, device=pairs.device)
    return torch.where(pairs, numbers[:, None], -1).amax(dim=0).long()
