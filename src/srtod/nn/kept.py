"""Tensors that are made once and read many times."""

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def kept(most: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Keep the tensors that a function made last, by its arguments; nobody may write into them.

    They serve inference and training alike, whichever comes first, in any number of threads. None are kept
    that only stand for tensors (fake ones) or belong to a program that ``torch.compile`` makes.

    Args:
        most: results to keep; the one that was not used for the longest time goes first.
    """

    def decorate(make: Callable[..., T]) -> Callable[..., T]:
        @lru_cache(maxsize=most)
        def make_once(*key: Hashable) -> T:
            with torch.inference_mode(False):
                return make(*key)

        @wraps(make)
        def read(*key: Hashable) -> T:
            real = not torch.compiler.is_compiling() and type(torch.empty(0)) is Tensor
            return (make_once if real else make)(*key)

        return read

    return decorate
