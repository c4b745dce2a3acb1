"""Annotated frames to a video file."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from srtod.support.files import atomic_file

if TYPE_CHECKING:
    from av.packet import Packet

TICKS = 60_000
"""Of a second, in which times are written; the encoder mpeg4 takes no finer ones."""
_CODECS = ("libx264", "mpeg4")
"""The first that this build of FFmpeg has; the second one is in all of them."""


@contextmanager
def video_file(
    path: Path, rate: Fraction, size: tuple[int, int], ends: Callable[[], float]
) -> Generator[Callable[[NDArray[np.uint8], float], None]]:
    """Open a video file that is written whole or not at all.

    Args:
        path: ending in ``.mp4``.
        rate: frames a second.
        size: width and height of the first frame; odd sides are filled up by a row or a column.
        ends: says when the last frame ends, in seconds; asked when all are there.

    Yields:
        What appends a frame, uint8 ``[H, W, 3]``, RGB, and the time when it is shown, in seconds; it stays
        until the next one. One of another size is resized.
    """
    import av

    codec = next(name for name in _CODECS if name in av.codecs_available)
    width, height = (side + side % 2 for side in size)
    with atomic_file(path) as scratch, av.open(str(scratch), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        # Fine enough for objects of a few pixels.
        stream.options = {"crf": "16", "preset": "veryfast"} if codec == "libx264" else {"qscale": "2"}

        last = -1

        def write(packets: "Sequence[Packet]") -> None:
            for packet in packets:
                is_last = packet.pts == last
                packet.duration = max(1, round(ends() * TICKS) - last) if is_last else round(TICKS / rate)
                container.mux(packet)

        def add(pixels: NDArray[np.uint8], time: float) -> None:
            odd = pixels.shape[0] % 2, pixels.shape[1] % 2
            pixels = np.pad(pixels, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if (frame.width, frame.height) != (width, height):
                frame = frame.reformat(width, height)
            nonlocal last
            last = max(round(time * TICKS), last + 1)
            frame.time_base, frame.pts = Fraction(1, TICKS), last
            write(stream.encode(frame))

        yield add
        write(stream.encode())
