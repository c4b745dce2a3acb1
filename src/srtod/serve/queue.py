"""One thread that works for all requests, with a short queue before it."""

import math
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from srtod.inference.memory import is_out_of_memory
from srtod.support.errors import SrtodError

Result = TypeVar("Result")


class MemoryFullError(SrtodError):
    """A job needed more memory than there is."""


class BusyError(SrtodError):
    """The queue is full.

    Attributes:
        retry_after: whole seconds until a place is likely to be free.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the server is busy; try again in {retry_after} s")
        self.retry_after = retry_after


class JobQueue:
    """Does one job after the other, so that requests share one model and its memory.

    Args:
        waiting: jobs that may wait while one is worked on.
    """

    def __init__(self, waiting: int) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="detector")
        self._places = threading.BoundedSemaphore(waiting + 1)
        self._last_seconds = 0.0

    @contextmanager
    def place(self) -> Generator[None]:
        """Hold a place in the queue.

        Raises:
            BusyError: the queue is full.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError(max(1, math.ceil(self._last_seconds)))
        try:
            yield
        finally:
            self._places.release()

    def submit(self, job: Callable[[], Result]) -> Future[Result]:
        """Have a job done in its turn; cancelling what is returned drops it unless it has begun."""

        def timed() -> Result:
            start = time.perf_counter()
            try:
                return _within_memory(job)
            finally:
                self._last_seconds = time.perf_counter() - start

        return self._thread.submit(timed)

    def close(self) -> None:
        """Drop what waits, and end the thread when it is done with its job."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _within_memory(job: Callable[[], Result]) -> Result:
    """Do a job; where memory runs out, give back what is only kept for later.

    Raises:
        MemoryFullError: there was not enough memory.
    """
    try:
        return job()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    # Here the frames that held the job's tensors are gone.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise MemoryFullError("this image needs more memory than the server has; send a smaller one")
