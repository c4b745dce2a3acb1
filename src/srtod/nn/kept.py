"""Tensors that are made once and read many times."""

from collections.abc import Callable, Hashable

import torch
from torch import Tensor


class Kept:
    """The lists of tensors used last, by key.

    They serve inference and training alike, whichever comes first. Copies and pickles begin with none, and
    none are kept that only stand for tensors (fake ones) or belong to a program that ``torch.compile`` makes.

    Args:
        most: lists to keep; the one that was not used for the longest time goes first.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._lists: dict[Hashable, list[Tensor]] = {}

    def get(self, key: Hashable, make: Callable[[], list[Tensor]]) -> list[Tensor]:
        """The tensors of ``key``, made by ``make`` unless they are kept; nobody may write into them."""
        if torch.compiler.is_compiling():
            return make()
        tensors = self._lists.pop(key, None)
        if tensors is None:
            with torch.inference_mode(False):
                tensors = make()
        if all(type(tensor) is Tensor for tensor in tensors):
            self._lists[key] = tensors
        if len(self._lists) > self.most:
            del self._lists[next(iter(self._lists))]
        return list(tensors)

    def __reduce__(self) -> tuple[type["Kept"], tuple[int]]:
        """Copies and pickles know how many to keep, but not the tensors."""
        return Kept, (self.most,)
