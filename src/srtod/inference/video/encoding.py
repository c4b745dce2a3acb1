"""Annotated frames to a video file."""

from collections.abc import Generator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from srtod.support.files import atomic_file

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

_CODECS = ("libx264", "mpeg4")
"""The first that this build of FFmpeg has; the second one is in all of them."""


class VideoWriter:
    """Takes frames of one size, one after the other; the first one says which."""

    def __init__(self, container: "OutputContainer", rate: Fraction) -> None:
        self._container, self._rate = container, rate
        self._stream: VideoStream | None = None

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Append a frame, uint8 ``[H, W, 3]``, RGB; odd sides are filled up by a row or a column."""
        import av

        height, width = pixels.shape[:2]
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._stream is None:
            self._stream = self._begin(pixels.shape[1], pixels.shape[0])
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        if (frame.width, frame.height) != (self._stream.width, self._stream.height):
            frame = frame.reformat(self._stream.width, self._stream.height)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())

    def _begin(self, width: int, height: int) -> "VideoStream":
        import av

        codec = next(name for name in _CODECS if name in av.codecs_available)
        stream = self._container.add_stream(codec, rate=self._rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # Fine enough for objects of a few pixels.
        stream.options = {"crf": "16", "preset": "veryfast"} if codec == "libx264" else {"qscale": "2"}
        return stream


@contextmanager
def video_file(path: Path, rate: Fraction) -> Generator[VideoWriter]:
    """Open a video file that is written whole or not at all.

    Args:
        path: ending in ``.mp4``.
        rate: frames a second.
    """
    import av

    with atomic_file(path) as scratch, av.open(str(scratch), "w") as container:
        writer = VideoWriter(container, rate)
        yield writer
        writer.finish()
