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
_INSISTING = 1.5
"""Seconds between two interrupts of work that drops them, enough to remove scratch files after the first."""


class EndingSignals:
    """Lets SIGTERM and SIGHUP end a program as Ctrl-C does: what is finished is kept, scratch is removed.

    Attributes:
        exit_code: of a program that was interrupted: 128 and the number of the signal.
    """

    def __init__(self) -> None:
        self.exit_code = 128 + signal.SIGINT

    @contextmanager
    def heard(self) -> Generator[None]:
        """Inside the block, in the main thread; one that is ignored, as SIGHUP under ``nohup``, stays so.

        Python drops an interrupt that comes while an object is being destroyed; it is then sent again.
        """
        is_main = threading.current_thread() is threading.main_thread()
        own = [number for number in _ENDING if is_main and signal.getsignal(number) is signal.SIG_DFL]
        for number in own:
            signal.signal(number, self._end)
        before, sys.unraisablehook = sys.unraisablehook, _interrupt_again
        try:
            yield
        finally:
            sys.unraisablehook = before
            for number in own:
                signal.signal(number, signal.SIG_DFL)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        for own in _ENDING:  # many that end a program send both, and what is kept must not be interrupted
            signal.signal(own, signal.SIG_IGN)
        self.exit_code = 128 + number
        raise KeyboardInterrupt


@contextmanager
def insisting() -> Generator[None]:
    """Inside the block, in the main thread, an interrupt is sent again until the block is left.

    For long work of others that drops some, as loading libraries and tracing a network do.

    Raises:
        KeyboardInterrupt: if one came, whatever was made of it inside; at the latest at the end of the block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came, left = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_ENDING)}

    def insist() -> None:
        while not left.wait(_INSISTING):
            _thread.interrupt_main()

    def hear(number: int, frame: FrameType | None) -> None:
        if not came.is_set():
            came.set()
            threads.append(threading.Thread(target=insist, daemon=True))
            threads[0].start()
        if left.is_set():  # it is raised below, once
            return
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    heard = [number for number, handler in before.items() if callable(handler)]
    for number in heard:
        signal.signal(number, hear)
    try:
        yield
    finally:
        left.set()
        for thread in threads:
            thread.join()
        for number in heard:
            if signal.getsignal(number) is hear:
                signal.signal(number, before[number])
        if came.is_set():
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
