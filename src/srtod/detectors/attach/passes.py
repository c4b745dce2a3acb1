"""Forward passes under way, for each thread by itself."""

import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Self

import torch
from torch import Tensor

from srtod.selfrec import SelfReconstructionOutput

Maps = tuple[Tensor, SelfReconstructionOutput, Tensor]
"""The level before, what self-reconstruction made of it, and the valid pixels."""


@dataclass
class Pass:
    """A forward pass of the whole model.

    Attributes:
        with_loss: the model computes losses in it.
        call: the stack frame of the model's call, where there is one.
        batch: image and valid pixels, once seen.
        enhanced: the level was.
        output: what self-reconstruction made of it, where somebody reads more than the level.
    """

    with_loss: bool
    call: FrameType | None
    batch: tuple[Tensor, Tensor] | None = None
    enhanced: bool = False
    output: SelfReconstructionOutput | None = None


class ThreadState(threading.local):
    """What one thread is about. Another thread, a copy of the model and its file begin with nothing.

    ``torch.compile`` leaves its functions as they are, because it does not know the memory of threads.
    """

    kept: list[Maps] | None = None
    _last: Pass | None = None

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        return type(self), ()

    @torch.compiler.disable
    def begin(self, *, with_loss: bool) -> None:
        """Begin the forward pass of the model whose hook is running."""
        calls = (frame for frame in _stack() if frame.f_code.co_name == "_call_impl")
        self._last = Pass(with_loss, next(calls, None))

    @torch.compiler.disable
    def under_way(self) -> Pass | None:
        """The forward pass that this thread is within.

        One that an interruption (Ctrl-C) ended is forgotten: torch calls no hook then, so the stack is asked
        whether the model's call is still there.
        """
        if self._last is not None and self._last.call not in (None, *_stack()):
            self._last = None
        return self._last

    @torch.compiler.disable
    def end(self) -> Pass | None:
        """End the forward pass, and return it."""
        ended, self._last = self._last, None
        return ended


def _stack() -> Iterator[FrameType]:
    """The frames of this thread, innermost first."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back
