"""The work of ``srtod predict`` on videos: a line of JSON a frame as it goes, and an annotated video."""

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TextIO

import torch

from srtod.defaults import PICTURE_SCORE
from srtod.inference.finder import Finder, to_tensor
from srtod.inference.slices import Slicing, in_slices
from srtod.inference.video.decoding import Frame, OpenVideo, open_video
from srtod.inference.video.encoding import VideoWriter, video_file
from srtod.inference.video.results import Arrays, frame_line, frame_picture
from srtod.inference.video.sources import Video
from srtod.inference.video.tracking import Tracks
from srtod.support.errors import InputError, SrtodError
from srtod.support.files import growing_folder
from srtod.support.progress import counting_bar, say


@dataclass
class VideoDone:
    """What was done.

    Attributes:
        videos: how many videos were looked at.
        frames: how many of their frames.
        detections: how many detections were written.
        notes: what was left out, ended early or was stopped, one line each.
    """

    videos: int = 0
    frames: int = 0
    detections: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class VideoSetting:
    """How videos are looked at.

    Attributes:
        every: look at each ``every``-th frame.
        track: number the objects from frame to frame.
        batch_size: frames, or slices of one, that go through the network together.
        slicing: look at each frame in slices.
        pictures: write an annotated video of the frames that were looked at.
        min_score: detections below are not drawn, and begin no track.

    Raises:
        InputError: ``every`` or ``batch_size`` is not positive.
    """

    every: int = 1
    track: bool = False
    batch_size: int = 1
    slicing: Slicing | None = None
    pictures: bool = True
    min_score: float = PICTURE_SCORE

    def __post_init__(self) -> None:
        for name, value in (("every", self.every), ("batch size", self.batch_size)):
            if value < 1:
                raise InputError(f"{name} {value}: it must be at least 1")


def predict_videos(
    finder: Finder,
    videos: Sequence[Video],
    output: Path,
    setting: VideoSetting | None = None,
    *,
    skip_bad: bool = False,
    progress: bool = True,
) -> VideoDone:
    """Write ``NAME.jsonl`` and ``NAME.mp4`` for each video into a new folder.

    A frame's line is written as soon as the frame was looked at, so that a crash or Ctrl-C loses nothing. The
    annotated video is written whole or not at all. Ctrl-C and a break end a stream as if it had ended there.

    Args:
        finder: a detector in evaluation mode, or what else finds objects.
        videos: what to look at.
        output: a folder that does not exist yet or is empty.
        setting: how they are looked at.
        skip_bad: go on with the next video where one cannot be opened or is damaged.
        progress: show a progress bar on standard error, and the notes as they come.

    Raises:
        InputError: a video cannot be opened or is damaged, or ``output`` cannot be written.
        SrtodError: a stream broke; what was found until then is written.
    """
    setting, done = setting or VideoSetting(), VideoDone()
    with growing_folder(output):
        for video in videos:
            told = len(done.notes)
            try:
                _predict_video(finder, video, output, setting, done, progress=progress)
            except InputError as error:
                if not skip_bad:
                    raise
                done.notes.append(f"left out: {error}")
            finally:
                if progress:
                    for note in done.notes[told:]:
                        say(note)
    return done


def _predict_video(
    finder: Finder, video: Video, output: Path, setting: VideoSetting, done: VideoDone, *, progress: bool
) -> None:
    lines = output / f"{video.name}.jsonl"
    broken: SrtodError | None = None
    with ExitStack() as stack:
        opened = stack.enter_context(open_video(video))
        results = _Results(finder.classes, opened, setting, lines, stack)
        step = stack.enter_context(_bar(video, opened, setting.every, shown=progress))
        try:
            for frame, found in _found(finder, opened, setting):
                done.detections += results.add(frame, found)
                step()
        except KeyboardInterrupt:
            if not video.live:
                raise
            done.notes.append(f"{video}: stopped after {results.frames} frames")
        except SrtodError as error:
            kept = f"; {results.frames} frames are in {lines}" if results.frames else ""
            broken = type(error)(f"{error}{kept}")
            if not video.live:
                raise broken from error
        finally:
            done.frames += results.frames
            done.notes += opened.notes
    done.videos += 1
    if broken is not None:
        raise broken


class _Results:
    """Where the detections of one video go: a line a frame, and the annotated video.

    Both files are opened with the first frame, so that a video without any leaves none.
    """

    def __init__(
        self, classes: Sequence[str], video: OpenVideo, setting: VideoSetting, lines: Path, stack: ExitStack
    ) -> None:
        self._classes, self._setting, self._path, self._stack = classes, setting, lines, stack
        self._rate, self.frames = video.rate / setting.every, 0
        self._tracks = Tracks(self._rate, min_score=setting.min_score) if setting.track else None

    @cached_property
    def _lines(self) -> TextIO:
        return self._stack.enter_context(self._path.open("w", encoding="utf-8"))

    @cached_property
    def _writer(self) -> VideoWriter:
        return self._stack.enter_context(video_file(self._path.with_suffix(".mp4"), self._rate))

    def add(self, frame: Frame, found: Arrays) -> int:
        """Write a frame's detections; return how many they are."""
        numbers = None if self._tracks is None else self._tracks.number(*found)
        line = frame_line(frame, found, self._classes, numbers)
        self._lines.write(json.dumps(line, allow_nan=False, ensure_ascii=False) + "\n")
        self._lines.flush()
        if self._setting.pictures:
            self._writer.add(frame_picture(frame, found, numbers, min_score=self._setting.min_score))
        self.frames += 1
        return len(line["detections"])


def _found(finder: Finder, video: OpenVideo, setting: VideoSetting) -> Iterator[tuple[Frame, Arrays]]:
    """Look at the frames, some at a time."""
    looking = in_slices(finder, setting.slicing, batch_size=setting.batch_size)
    together = setting.batch_size if setting.slicing is None else 1
    frames = video.frames(setting.every)
    while batch := list(islice(frames, together)):
        with torch.inference_mode():
            results = looking([to_tensor(frame.pixels, finder.device) for frame in batch])
        for frame, found in zip(batch, results, strict=True):
            boxes, scores = (found[key].float().cpu().numpy() for key in ("boxes", "scores"))
            yield frame, (boxes, scores, found["labels"].cpu().numpy())


@contextmanager
def _bar(video: Video, opened: OpenVideo, every: int, *, shown: bool) -> Generator[Callable[[], None]]:
    """Show the frames that were looked at, and the time that is left where their number is known."""
    total = None if opened.total is None else -(-opened.total // every)
    with counting_bar(2, shown=shown) as bar:
        task = bar.add_task(video.name, total=total)
        yield lambda: bar.advance(task)
