"""Signals that end a program, in its main process and in those that work for it."""

import _thread
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from types import FrameType

_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_AGAIN = 0.05
"""Seconds until an interrupt that a destructor has swallowed is sent again."""


class EndingSignals:
    """Lets SIGTERM and SIGHUP end a program as Ctrl-C does: what is finished is kept, scratch is removed.

    Attributes:
        exit_code: of a program that was interrupted: 128 and the number of the signal.
    """

    def __init__(self) -> None:
        self.exit_code = 128 + signal.SIGINT
        self._ending = False

    @contextmanager
    def heard(self) -> Generator[None]:
        """Inside the block, in the main thread; one that is ignored, as SIGHUP under ``nohup``, stays so.

        Python drops an interrupt that comes while an object is being destroyed; it is then sent again, as a
        SIGINT. Where that one is ignored, as in a background job, only such a one is heard.
        """
        is_main = threading.current_thread() is threading.main_thread()
        own = [number for number in _ENDING if is_main and signal.getsignal(number) is signal.SIG_DFL]
        for number in own:
            signal.signal(number, self._end)
        is_deaf = is_main and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        if is_deaf:
            signal.signal(signal.SIGINT, self._end_again)
        before, sys.unraisablehook = sys.unraisablehook, _interrupt_again
        try:
            yield
        finally:
            sys.unraisablehook = before
            for number in own:
                signal.signal(number, signal.SIG_DFL)
            if is_deaf:
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        for own in _ENDING:  # many that end a program send both, and what is kept must not be interrupted
            signal.signal(own, signal.SIG_IGN)
        self.exit_code = 128 + number
        self._ending = True
        raise KeyboardInterrupt

    def _end_again(self, _number: int, _frame: FrameType | None) -> None:
        if self._ending:
            raise KeyboardInterrupt


def _interrupt_again(dropped: "sys.UnraisableHookArgs") -> None:
    if dropped.exc_type is KeyboardInterrupt:
        threading.Timer(_AGAIN, _thread.interrupt_main).start()
    else:
        sys.__unraisablehook__(dropped)


def serve_parent(*_: object) -> None:
    """In a worker process: leave signals to the parent, which ends it, and die with the parent.

    Whoever ends a program may signal every process of it; the work under way still needs its workers.
    """
    for number in (signal.SIGINT, *_ENDING):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _only_once)
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _only_once(_number: int, _frame: FrameType | None) -> None:
    """The first SIGTERM may be everybody's; a second one is the parent's, which has waited long enough."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
