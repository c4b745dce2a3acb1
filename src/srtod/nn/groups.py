"""Many boxes in bounded memory."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from srtod.nn.modes import batch_norms

Pair = tuple[Tensor, Tensor]


def in_groups(predict: Callable[[Tensor], Pair], rows: Tensor, most: int | None) -> Pair:
    """Predict for rows that do not see each other, at most so many at a time.

    Where there are several groups, what a group computed on its way is not kept for the backward pass but
    computed again there, so that memory holds one group.

    Args:
        predict: rows ``[n, ...]`` to two tensors of n rows each.
        rows: ``[N, ...]``.
        most: rows of a group; None takes all at once.
    """
    if most is None or len(rows) <= most:
        return predict(rows)
    groups = [_predict_again(predict, group) for group in rows.split(most)]
    first, second = zip(*groups, strict=True)
    return torch.cat(first), torch.cat(second)


def trains_batch_norm(module: nn.Module) -> bool:
    """Whether a BatchNorm layer of the module takes its statistics from what it is given."""
    return any(own.training for _, own in batch_norms(module))


def _predict_again(predict: Callable[[Tensor], Pair], rows: Tensor) -> Pair:
    if not torch.is_grad_enabled():
        return predict(rows)
    return checkpoint(predict, rows, use_reentrant=False)
