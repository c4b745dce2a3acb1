"""Uploads to pixels: decoded in other processes, which are killed where they take too long."""

import asyncio
import json
import subprocess
import sys
from contextlib import suppress
from io import BufferedReader
from typing import NamedTuple

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from srtod.data.images import ImageBytes, TooManyPixels
from srtod.data.isolated import Answer, Question
from srtod.defaults import Stretch
from srtod.serve.limits import Limits
from srtod.support.errors import InputError

_AT_ONCE = 4
"""Uploads that are decoded at a time: one that takes long holds up nobody, and memory stays bounded."""
_KEPT = 2
"""Processes that wait for the next upload."""
_DOT = ImageBytes("dot.ppm", b"P6 1 1 255\n\0\0\0")


class _Answered(NamedTuple):
    answer: Answer
    pixels: NDArray[np.uint8]


class Decoders:
    """Processes that decode uploads: one for each that is decoded at a time.

    Args:
        limits: of pixels and time.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._free: list[subprocess.Popen[bytes]] = []
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def prepare(self) -> None:
        """Start the processes that are kept, so that the first uploads do not wait for them."""
        await asyncio.gather(*(self.decode(_DOT, "auto", seconds=60) for _ in range(_KEPT)))

    async def decode(
        self, upload: ImageBytes, stretch: Stretch, *, seconds: float | None = None
    ) -> NDArray[np.uint8]:
        """Decode an upload: uint8 ``[H, W, 3]``, RGB, EXIF applied.

        The process is killed when ``seconds`` (by default those of the limits) are over, and when this call
        is cancelled.

        Raises:
            TooManyPixels: the image has more pixels than the server takes.
            InputError: it is no image, a damaged one, or took a decoder more time or memory than images do.
        """
        seconds = self._limits.decode_seconds if seconds is None else seconds
        question = Question(str(upload), len(upload.data), stretch, self._limits.pixels, seconds)
        async with self._places:
            answer, pixels = await self._asked(question, upload.data)
        if answer.problem:
            raise (TooManyPixels if answer.too_many_pixels else InputError)(answer.problem)
        return pixels

    def close(self) -> None:
        """End the processes that wait."""
        while self._free:
            self._free.pop().kill()

    async def _asked(self, question: Question, data: bytes) -> _Answered:
        """Ask a process, which is kept for the next upload unless it is killed."""
        process, sound = self._process(), False
        try:
            async with asyncio.timeout(question.seconds):
                answered = await anyio.to_thread.run_sync(
                    _exchange, process, question, data, abandon_on_cancel=True
                )
            sound = True
        except TimeoutError:
            raise InputError(
                f"{question.name}: not decoded within {question.seconds:g} s; save it again as a plain JPEG "
                "or PNG"
            ) from None
        except (OSError, ValueError):  # the kernel killed it at its bounds, or the decoder crashed
            raise InputError(
                f"{question.name}: decoding it takes more time or memory than an image should"
            ) from None
        finally:
            if sound and len(self._free) < _KEPT:
                self._free.append(process)
            else:
                process.kill()
        return answered

    def _process(self) -> subprocess.Popen[bytes]:
        """One that waits, or a new one."""
        while self._free:
            process = self._free.pop()
            if process.poll() is None:
                return process
        return _start()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "srtod.data.isolated"],  # -P: nothing of the working folder is imported
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _exchange(process: subprocess.Popen[bytes], question: Question, data: bytes) -> _Answered:
    """Ask a process; a ValueError says that it sent something else than it should."""
    assert process.stdin is not None and isinstance(process.stdout, BufferedReader)
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(question).encode() + b"\n" + data)
        process.stdin.flush()
    answer = Answer(*json.loads(process.stdout.readline()))
    if answer.height * answer.width > question.most:
        raise ValueError("more pixels than were asked for")
    pixels = np.empty((answer.height, answer.width, 3), np.uint8)
    if pixels.size and process.stdout.readinto(pixels.data.cast("B")) < pixels.size:
        raise ValueError("fewer pixels than were said")
    return _Answered(answer, pixels)
