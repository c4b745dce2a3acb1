"""Videos in; a line of JSON a frame as it goes, and an annotated video."""

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from srtod.inference.inputs import to_tensor
from srtod.inference.jobs.log import JobLog, Lines, digest_of, job_folder, keeping, whole_lines
from srtod.inference.jobs.options import JobOptions
from srtod.inference.slices import in_slices
from srtod.inference.video.decoding import Frame, OpenVideo, open_video
from srtod.inference.video.encoding import VideoWriter, video_file
from srtod.inference.video.results import columns_of, frame_picture, rows_of
from srtod.inference.video.sources import Video
from srtod.inference.video.tracking import Tracks
from srtod.support.errors import InputError, SrtodError
from srtod.support.progress import counting_bar, say
from srtod.types import Finder

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class VideosDone:
    """What was done.

    Attributes:
        videos: how many videos were looked at.
        frames: how many of their frames.
        detections: how many detections were written.
        notes: what was left out, ended early or was stopped, one line each.
    """

    videos: int
    frames: int
    detections: int
    notes: Sequence[str]


def predict_videos(
    finder: Finder,
    videos: Sequence[Video],
    output: Path,
    options: JobOptions | None = None,
    *,
    weights: str | None = None,
) -> VideosDone:
    """Write ``NAME.jsonl`` and ``NAME.mp4`` for each video into a folder.

    A frame's line is written as soon as the frame was looked at, so that nothing is lost however it ends. The
    annotated video is written whole or not at all. Ctrl-C and a break end a stream as if it had ended there.

    Args:
        finder: a detector in evaluation mode, or what else finds objects.
        videos: what to look at.
        output: a folder that does not exist yet or is empty, or one to go on with.
        options: how; with ``resume`` frames that have their line are not looked at again.
        weights: tells the finder from others, so that nobody goes on with another.

    Raises:
        InputError: a video cannot be opened or is damaged, or ``output`` cannot be written.
        SrtodError: a stream broke; what was found until then is written.
    """
    options = options or JobOptions()
    asked = options.deciding("every", "track", "pictures", "picture_score")
    asked |= {"videos": digest_of((video.location, video.name) for video in videos), "weights": weights}
    with job_folder(output, asked, resume=options.resume) as log:
        if log.finished is not None:
            return VideosDone(**log.finished)
        missing = set(log.missing([video.name for video in videos], skip_bad=options.skip_bad))
        with keeping(log, len(videos), "videos", lambda: None):
            for video in videos:
                if video.name in missing:
                    _predict_video(finder, video, log, options)
        lines = list(log.lines(video.name for video in videos))
        done = VideosDone(
            videos=log.done,
            frames=sum(line.get("frames", 0) for line in lines),
            detections=sum(line.get("detections", 0) for line in lines),
            notes=tuple(note for line in lines for note in line["notes"]),
        )
        log.finish(asdict(done))
    return done


def _predict_video(finder: Finder, video: Video, log: JobLog, options: JobOptions) -> None:
    """Look at a video and log it, also where a stream was stopped or broke."""
    notes: list[str] = []
    line: dict[str, Any] = {"key": video.name, "frames": 0, "detections": 0, "notes": notes}
    broken: SrtodError | None = None
    try:
        broken = _look(finder, video, log.folder / f"{video.name}.jsonl", options, line)
    except InputError as error:
        if not options.skip_bad:
            raise
        notes.append(f"left out: {error}")
        line["error"] = str(error)
    finally:
        if options.progress:
            for note in notes:
                say(note)
    if broken is None or line["frames"]:
        log.add(line)
    if broken is not None:
        raise broken


def _look(
    finder: Finder, video: Video, path: Path, options: JobOptions, line: dict[str, Any]
) -> SrtodError | None:
    """Look at the frames and count them in ``line``; return the error that ended a stream."""
    if video.live and path.exists():
        raise InputError(f"{video}: a stream cannot be gone on with; choose another --output")
    with ExitStack() as stack:
        opened = stack.enter_context(open_video(video))
        results = _Results(finder.classes, opened, options, path, stack)
        step = stack.enter_context(_bar(video, opened, options))
        try:
            for frame, rows, is_new in _found(finder, opened, results, options):
                results.add(frame, rows, is_new=is_new)
                step()
        except KeyboardInterrupt:
            if not video.live:
                raise
            line["notes"].append(f"{video}: stopped after {results.frames} frames")
        except SrtodError as error:
            kept = f"; {results.frames} frames are in {path}" if results.frames else ""
            broken = type(error)(f"{error}{kept}")
            if not video.live:
                raise broken from error
            return broken
        finally:
            line |= {"frames": results.frames, "detections": results.detections}
            line["notes"] += opened.notes
    return None


class _Results:
    """Where the detections of one video go: a line a frame, and the annotated video.

    Both files are opened with the first frame, so that a video without any leaves none.
    """

    def __init__(
        self, classes: Sequence[str], video: OpenVideo, options: JobOptions, path: Path, stack: ExitStack
    ) -> None:
        self.classes, self.frames, self.detections = classes, 0, 0
        self.path, self._options, self._stack = path, options, stack
        self._rate = video.rate / options.every
        self._tracks = Tracks(self._rate, min_score=options.picture_score) if options.track else None
        self._lines = Lines(path)
        stack.callback(self._lines.close)

    @cached_property
    def _writer(self) -> VideoWriter:
        return self._stack.enter_context(video_file(self.path.with_suffix(".mp4"), self._rate))

    def earlier(self) -> Iterator[dict[str, Any]]:
        """Yield the lines of the frames that were looked at before a kill or Ctrl-C."""
        return map(json.loads, whole_lines(self.path))

    def add(self, frame: Frame, rows: Rows, *, is_new: bool) -> None:
        """Take a frame's detections as they stand in its line, be it new or of an earlier run."""
        found = columns_of(rows)
        numbers = None if self._tracks is None else self._tracks.number(*found)
        if is_new:
            for row, number in zip(rows, numbers or (), strict=numbers is not None):
                row["track_id"] = number
            self._lines.add({"frame": frame.index, "time": round(frame.time, 6), "detections": rows})
        if self._options.pictures:
            self._writer.add(frame_picture(frame, found, numbers, min_score=self._options.picture_score))
        self.frames += 1
        self.detections += len(rows)


def _found(
    finder: Finder, video: OpenVideo, results: _Results, options: JobOptions
) -> Iterator[tuple[Frame, Rows, bool]]:
    """Yield each frame with what was found in it, and whether that is new; look at some frames at a time."""
    frames = video.frames(options.every)
    for line in results.earlier():
        frame = next(frames, None)
        if frame is None or frame.index != line["frame"]:
            raise InputError(
                f"{results.path}: its lines are of other frames than the video has; choose another --output"
            )
        yield frame, line["detections"], False
    looking = in_slices(finder, options.slicing, batch_size=options.batch_size)
    together = options.batch_size if options.slicing is None else 1
    while batch := list(islice(frames, together)):
        with torch.inference_mode():
            found = looking([to_tensor(frame.pixels, finder.device) for frame in batch])
        for frame, own in zip(batch, found, strict=True):
            yield frame, rows_of(own, results.classes), True


@contextmanager
def _bar(video: Video, opened: OpenVideo, options: JobOptions) -> Generator[Callable[[], None]]:
    """Show the frames that were looked at, and the time that is left where their number is known."""
    total = None if opened.total is None else -(-opened.total // options.every)
    with counting_bar(2, shown=options.progress) as bar:
        task = bar.add_task(video.name, total=total)
        yield lambda: bar.advance(task)
