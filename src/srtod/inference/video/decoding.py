"""Frames of videos and streams, decoded by PyAV (FFmpeg) on the processor, whatever the machine."""

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from srtod.inference.addresses import WAIT, is_address
from srtod.inference.video.sources import Video
from srtod.support.errors import InputError, SrtodError, missing_extra
from srtod.support.files import require_content

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

MOST_DAMAGED = 100
"""So many packets in a row that cannot be decoded end the video."""
PROBED = 200
"""Packets by which moving pictures are told from covers, where a file has several streams."""
MOVING = 3
"""A stream with so many of them moves."""
COMPLETE = 0.95
"""A file that gives less than this part of the frames that it announces is said to end early."""


@dataclass(frozen=True)
class Frame:
    """A frame of a video.

    Attributes:
        index: counted from 0, frames that were passed over included.
        time: seconds since the first frame; they go on where the clock of the file jumps back.
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
        end: seconds from the first frame to the end of the last one that was decoded.
        notes: what was wrong with it so far, one line each.
    """

    def __init__(self, video: Video, container: "InputContainer", stream: "VideoStream") -> None:
        self._video, self._container, self._stream = video, container, stream
        self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25).limit_denominator(1001)
        self.total = None if video.live else _announced(container, stream, self.rate)
        self.end, self.notes = 0.0, list[str]()

    def frames(self, every: int = 1) -> Iterator[Frame]:
        """Yield each ``every``-th frame, beginning with the first.

        Raises:
            SrtodError: the stream broke.
            InputError: the file cannot be decoded any further.
        """
        count, clock = 0, _Clock(1 / self.rate)
        for decoded in self._decoded():
            time = clock.tell(decoded.time)
            self.end = time + float(1 / self.rate)
            if count % every == 0:
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


class _Clock:
    """Times that begin at 0 and grow, whatever the file says."""

    def __init__(self, step: Fraction) -> None:
        self._step, self._last = float(step), -float(step)
        self._shift: float | None = None

    def tell(self, told: float | None) -> float:
        """Return the time of the next frame, for which the file says this one, or none."""
        time = self._last + self._step if told is None or self._shift is None else told + self._shift
        if time <= self._last:
            time = self._last + self._step
        self._shift = self._shift if told is None else time - told
        self._last = time
        return time


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
    location = video.location if is_address(video.location) else str(Path(video.location).absolute())
    try:
        container = av.open(location, timeout=WAIT if is_address(location) else None)
    except (av.error.FFmpegError, OSError) as error:
        if Path(location).is_file():
            require_content(Path(location))
        what = "cannot be reached" if is_address(location) else "not a video that can be read"
        raise InputError(f"{video}: {what}: {error.strerror or error}") from error
    with container:
        if not container.streams.video:
            raise InputError(f"{video}: holds no pictures, only sound or data; name a video")
        stream, notes = _choose(video, location, container.streams.video)
        stream.thread_type = "AUTO"
        opened = OpenVideo(video, container, stream)
        opened.notes += notes
        yield opened


def _choose(video: Video, location: str, streams: Sequence["VideoStream"]) -> tuple["VideoStream", list[str]]:
    """Choose the stream with moving pictures, no cover picture, and of several the largest; say which."""
    import av
    import av.stream

    packets: Counter[int] = Counter()
    if len(streams) > 1 and not is_address(location):
        with suppress(av.error.FFmpegError), av.open(location) as again:
            probed = islice(again.demux(*again.streams.video), PROBED)
            packets.update(packet.stream.index for packet in probed if packet.size)
    streams = [own for own in streams if own.codec_context is not None]
    if not streams:
        raise InputError(f"{video}: no decoder for its pictures; convert it to H.264, such as with ffmpeg")
    real = [own for own in streams if not own.disposition & av.stream.Disposition.attached_pic] or streams
    moving = [own for own in real if packets[own.index] >= MOVING] or real
    chosen = max(moving, key=lambda own: own.width * own.height)
    if len(moving) == 1:
        return chosen, []
    size = f"{chosen.width} x {chosen.height}"
    return chosen, [f"{video}: has {len(moving)} streams of pictures; the one of {size} pixels is looked at"]


def _announced(container: "InputContainer", stream: "VideoStream", rate: Fraction) -> int | None:
    if stream.frames:
        return stream.frames
    return round(container.duration / 1e6 * rate) if container.duration else None


def upright(pixels: NDArray[np.uint8], rotation: int) -> NDArray[np.uint8]:
    """Turn by the quarters that the file asks for, counterclockwise."""
    return np.ascontiguousarray(np.rot90(pixels, round(rotation / 90)))
