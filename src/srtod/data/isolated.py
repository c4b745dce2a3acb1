"""Decoding images of strangers in a process of its own, which has bounds and can be killed.

A small file may ask a decoder for minutes or gigabytes; no check before it knows all ways to do so. Run as
``python -m srtod.data.isolated`` it decodes what comes by its standard input, one image after the other. Both
directions are a line of JSON and bytes, so that nothing that a broken decoder sends is executed.
"""

import json
import signal
import sys
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srtod.data.images import ImageBytes, TooManyPixels, image_size, read_image
from srtod.defaults import Stretch
from srtod.support.errors import InputError

CELL = 32
"""Detectors fill both sides up to a multiple of this."""
_BASE_BYTES = 2**29
_BYTES_A_PIXEL = 64
"""What a decoder may take: bands of 16 bits are stretched as floats of 8 bytes."""


def read_within(upload: ImageBytes, stretch: Stretch, most: int) -> NDArray[np.uint8]:
    """Decode what was sent as ``srtod predict`` reads files: uint8 ``[H, W, 3]``, RGB, EXIF applied.

    An image of more than ``most`` pixels is refused by its header, and one of more than twice as many once
    its sides are filled up: a line of single pixels would take 32 times its own memory.

    Raises:
        TooManyPixels: it has more pixels.
        InputError: it is no image, or a damaged one.
    """
    width, height = image_size(upload, upright=False)
    filled_up = -(-width // CELL) * -(-height // CELL) * CELL**2
    if width * height > most or filled_up > 2 * most:
        raise TooManyPixels(
            f"{upload}: {width} x {height} pixels; this server takes {most / 1e6:g} million at "
            f"most, twice that once its sides are filled up to multiples of {CELL}; cut it into tiles, "
            "or use 'srtod predict'"
        )
    return read_image(upload, stretch=stretch)


class Answer(NamedTuple):
    """What the process sends: pixels ``[height, width, 3]`` follow where there is no problem."""

    height: int = 0
    width: int = 0
    problem: str = ""
    too_many_pixels: bool = False


class Question(NamedTuple):
    """What it is asked: ``size`` bytes of an image file follow."""

    name: str
    size: int
    stretch: Stretch
    most: int
    seconds: float


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Be the process."""
    while line := source.readline():
        question = Question(*json.loads(line))
        upload, pixels = ImageBytes(question.name, source.read(question.size)), None
        _bound(_BASE_BYTES + question.most * _BYTES_A_PIXEL, question.seconds)
        try:
            pixels = read_within(upload, _stretch(question.stretch), question.most)
            answer = Answer(*pixels.shape[:2])
        except InputError as error:
            answer = Answer(problem=str(error), too_many_pixels=isinstance(error, TooManyPixels))
            if isinstance(error.__cause__, MemoryError):
                answer = Answer(problem=f"{upload}: decoding it takes more memory than an image should")
        target.write(json.dumps(answer).encode() + b"\n")
        if pixels is not None:
            target.write(np.ascontiguousarray(pixels).data)
        target.flush()


def _stretch(told: Stretch | list[float]) -> Stretch:
    """A pair of numbers is a list in JSON."""
    return (told[0], told[1]) if isinstance(told, list) else told


def _bound(more_bytes: int, seconds: float) -> None:
    """Let the kernel stop this process at so much more memory and CPU time, where it does so exactly."""
    if sys.platform != "linux":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for kind, most in (
        (resource.RLIMIT_AS, held + more_bytes),
        (resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds) + 1),
    ):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, whose end closes the input
    serve(sys.stdin.buffer, sys.stdout.buffer)
