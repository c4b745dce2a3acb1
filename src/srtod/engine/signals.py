"""Ctrl-C, SIGTERM and SIGHUP: the step under way is finished and the state saved before training stops."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class StopSignals:
    """Remembers that someone asked to stop; asked again, or within :meth:`at_once`, stops there and then."""

    def __init__(self) -> None:
        self.asked = False
        self._at_once = False

    @contextmanager
    def watch(self) -> Generator[None]:
        """Take the signals over inside the block (in the main thread, the only one that can)."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._ask) for number in _STOPPING if _is_heard(number)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Generator[None]:
        """Stop immediately inside the block: the state is saved and nothing in it is lost."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked or self._at_once:
            raise KeyboardInterrupt
        self.asked = True


def _is_heard(number: int) -> bool:
    """Whether a signal is not ignored, as SIGHUP is under ``nohup``, nor another library's (None)."""
    handler = signal.getsignal(number)
    is_ignored = number == getattr(signal, "SIGHUP", None) and handler is signal.SIG_IGN
    return handler is not None and not is_ignored
