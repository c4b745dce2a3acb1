"""Ctrl-C and SIGTERM: the step under way is finished and the state saved before training stops."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


class StopSignals:
    """Remembers that someone asked to stop; asked again, or within :meth:`at_once`, stops there and then."""

    def __init__(self) -> None:
        self.asked = False
        self._at_once = False

    @contextmanager
    def watch(self) -> Generator[None]:
        """Take SIGINT and SIGTERM over inside the block (in the main thread, the only one that can)."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
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
