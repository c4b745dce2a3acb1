"""Frames of video files, decoded by PyAV (the extra ``video``)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from srtod_runtime.errors import InputError, first_line
from srtod_runtime.images import Pixels


def frames(path: Path, every: int = 1) -> Iterator[tuple[int, float, Pixels]]:
    """Yield each ``every``-th frame, beginning with the first: its number, its second and its upright pixels.

    Raises:
        InputError: the video cannot be read to its end or holds no pictures, or PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise InputError(f"{path}: videos need PyAV; run: pip install 'srtod-runtime[video]'") from error
    try:
        # In a relative path, FFmpeg takes what comes before a colon for a protocol.
        with av.open(str(path.absolute())) as container:
            stream = container.streams.best("video")
            if not isinstance(stream, av.VideoStream):
                raise InputError(f"{path}: holds no pictures")
            stream.thread_type = "AUTO"
            decoded: Iterator[Any] = container.decode(stream)
            rate, start = stream.average_rate or 25, None
            for index, frame in enumerate(decoded):
                told = index / float(rate) if frame.time is None else frame.time
                start = told if start is None else start
                if index % every == 0:
                    pixels = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
                    yield index, told - start, np.ascontiguousarray(pixels)
            if start is None:
                raise InputError(f"{path}: holds no frame that can be decoded")
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"{path}: not a video that can be read to its end: {first_line(error)}") from error
