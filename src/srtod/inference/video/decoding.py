"""Frames of videos and streams, decoded by PyAV (FFmpeg) on the processor, whatever the machine."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from srtod.inference.video.sources import Video
from srtod.support.errors import InputError, SrtodError, missing_extra

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

WAIT = 10.0
"""Seconds until a stream that says nothing is taken for broken."""
MOST_DAMAGED = 100
"""So many packets in a row that cannot be decoded end the video."""
COMPLETE = 0.95
"""A file that gives less than this part of the frames that it announces is said to end early."""


@dataclass(frozen=True)
class Frame:
    """A frame of a video.

    Attributes:
        index: counted from 0, frames that were passed over included.
        time: seconds since the video's beginning.
        pixels: uint8 ``[H, W, 3]``, RGB, upright.
    """

    index: int
    time: float
    pixels: NDArray[np.uint8]


class OpenVideo:
    """A video that is being read.

    Attributes:
        rate: frames a second.
        total: how many frames it has, as far as it tells; None for a stream.
        notes: what was wrong with it so far, one line each.
    """

    def __init__(self, video: Video, container: "InputContainer", stream: "VideoStream") -> None:
        self._video, self._container, self._stream = video, container, stream
        self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25).limit_denominator(1001)
        self.total = None if video.live else _announced(container, stream, self.rate)
        self.notes: list[str] = []

    def frames(self, every: int = 1) -> Iterator[Frame]:
        """Yield each ``every``-th frame, beginning with the first.

        Raises:
            SrtodError: the stream broke.
            InputError: the file cannot be decoded any further.
        """
        count = 0
        for decoded in self._decoded():
            if count % every == 0:
                time = float(count / self.rate) if decoded.time is None else decoded.time
                yield Frame(count, time, upright(decoded.to_ndarray(format="rgb24"), decoded.rotation))
            count += 1
        if count == 0:
            raise InputError(f"{self._video}: holds no frame that can be decoded; replace it")
        if self._video.live:
            self.notes.append(f"{self._video}: the stream ended after {count} frames")
        if self.total is not None and count < COMPLETE * self.total:
            self.notes.append(f"{self._video}: ends after {count} of about {self.total} frames; cut short?")

    def _decoded(self) -> Iterator[Any]:
        import av

        damaged = in_a_row = 0
        packets = self._packets()
        for packet in packets:
            try:
                frames = packet.decode()
                in_a_row = 0
            except av.error.InvalidDataError as error:
                damaged, in_a_row, frames = damaged + 1, in_a_row + 1, []
                if in_a_row == MOST_DAMAGED:
                    raise InputError(f"{self._video}: damaged: {error.strerror}; replace it") from error
            yield from frames
        if damaged:
            self.notes.append(f"{self._video}: {damaged} damaged packets were passed over")

    def _packets(self) -> Iterator[Any]:
        import av

        try:
            yield from self._container.demux(self._stream)
        except (av.error.FFmpegError, OSError) as error:
            reason = error.strerror or str(error)
            if self._video.live:
                raise SrtodError(f"{self._video}: the stream broke: {reason}") from error
            raise InputError(f"{self._video}: damaged: {reason}; replace it") from error


@contextmanager
def open_video(video: Video) -> Generator[OpenVideo]:
    """Open a video file or a stream.

    Raises:
        InputError: it cannot be opened or holds no pictures, or PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise missing_extra("video", f"{video}: videos are decoded by PyAV", error) from error
    # In a relative path, FFmpeg takes what comes before a colon for a protocol.
    location = video.location if video.live else str(Path(video.location).absolute())
    try:
        container = av.open(location, timeout=WAIT if video.live else None)
    except (av.error.FFmpegError, OSError) as error:
        what = "cannot be reached" if video.live else "not a video that can be read"
        raise InputError(f"{video}: {what}: {error.strerror or error}") from error
    with container:
        if not container.streams.video:
            raise InputError(f"{video}: holds no pictures, only sound or data; name a video")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield OpenVideo(video, container, stream)


def _announced(container: "InputContainer", stream: "VideoStream", rate: Fraction) -> int | None:
    if stream.frames:
        return stream.frames
    return round(container.duration / 1e6 * rate) if container.duration else None


def upright(pixels: NDArray[np.uint8], rotation: int) -> NDArray[np.uint8]:
    """Turn by the quarters that the file asks for, counterclockwise."""
    return np.ascontiguousarray(np.rot90(pixels, round(rotation / 90)))
