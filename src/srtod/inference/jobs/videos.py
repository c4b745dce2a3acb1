"""Videos in; a line of JSON a frame as it goes, and an annotated video."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from srtod.inference.inputs import to_tensor
from srtod.inference.jobs.log import JobLog, Lines, digest_of, job_folder, keeping, whole_lines
from srtod.inference.jobs.options import DEFAULT_OPTIONS, JobOptions
from srtod.inference.slices import in_slices
from srtod.inference.video.decoding import Frame, OpenVideo, open_video
from srtod.inference.video.encoding import video_file
from srtod.inference.video.sources import Video
from srtod.inference.video.tracking import Tracks
from srtod.plots import draw_frame
from srtod.results import coco_results
from srtod.support.errors import InputError, SrtodError
from srtod.support.progress import counting_bar, say
from srtod.types import Detections, Finder

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class VideosDone:
    """How many videos and frames of them were looked at, and how many detections were written."""

    videos: int
    frames: int
    detections: int
    notes: Sequence[str]
    """What was left out, ended early or was stopped, one line each."""


def predict_videos(
    finder: Finder,
    videos: Sequence[Video],
    output: Path,
    options: JobOptions = DEFAULT_OPTIONS,
    *,
    weights: str | None = None,
) -> VideosDone:
    """Write ``NAME.jsonl`` and ``NAME.mp4`` for each video into a folder.

    A frame's line is written as soon as the frame was looked at, so that nothing is lost however it ends. The
    annotated video is written whole or not at all. Ctrl-C and a break end a stream as if it had ended there.

    The arguments are those of :func:`~srtod.inference.jobs.images.predict_images`. Frames that have a line
    are not looked at again.

    Raises:
        InputError: a video cannot be opened or is damaged, or ``output`` cannot be written.
        SrtodError: a stream broke; what was found until then is written.
    """
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
    try:
        _look(finder, video, log.folder / f"{video.name}.jsonl", options, line)
    except SrtodError as error:
        if not (options.skip_bad and isinstance(error, InputError)):
            if video.live and line["frames"]:
                log.add(line)
            raise
        notes.append(f"left out: {error}")
        line["error"] = str(error)
    finally:
        if options.progress:
            for note in notes:
                say(note)
    log.add(line)


def _look(finder: Finder, video: Video, path: Path, options: JobOptions, line: dict[str, Any]) -> None:
    """Look at the frames and count them in ``line``; the annotated video of a stream outlives its break."""
    broken: SrtodError | None = None
    if video.live and path.exists():
        raise InputError(f"{video}: a stream cannot be gone on with; choose another --output")
    with ExitStack() as stack:
        opened = stack.enter_context(open_video(video))
        results = _Results(opened, options, path, stack)
        bar = stack.enter_context(counting_bar(2, shown=options.progress))
        total = None if opened.total is None else -(-opened.total // options.every)
        task = bar.add_task(video.name, total=total)
        try:
            for frame, rows, is_new in _found(finder, opened, path, options):
                results.add(frame, rows, is_new=is_new)
                bar.advance(task)
        except KeyboardInterrupt:
            if not video.live:
                raise
            line["notes"].append(f"{video}: stopped after {results.frames} frames")
        except SrtodError as error:
            kept = f"; {results.frames} frames are in {path}" if results.frames else ""
            broken = type(error)(f"{error}{kept}")
            if not video.live:
                raise broken from error
        finally:
            line |= {"frames": results.frames, "detections": results.detections}
            line["notes"] += opened.notes
    if broken is not None:
        raise broken


class _Results:
    """Where the detections of one video go: a line a frame, and the annotated video.

    Both files are opened with the first frame, so that a video without any leaves none.
    """

    def __init__(self, video: OpenVideo, options: JobOptions, path: Path, stack: ExitStack) -> None:
        self.frames = self.detections = 0
        self._video, self._options, self._path, self._stack = video, options, path, stack
        self._rate = video.rate / options.every
        self._tracks = Tracks(self._rate, min_score=options.picture_score) if options.track else None
        self._lines = Lines(path)
        stack.callback(self._lines.close)
        self._draw: Callable[[NDArray[np.uint8], float], None] | None = None

    def add(self, frame: Frame, rows: Rows, *, is_new: bool) -> None:
        """Take a frame's detections as they stand in its line, be it new or of an earlier run."""
        boxes, scores, labels = _columns(rows)
        numbers = None if self._tracks is None else self._tracks.number(boxes, scores, labels)
        if is_new:
            for row, number in zip(rows, numbers or (), strict=numbers is not None):
                row["track_id"] = number
            self._lines.add({"frame": frame.index, "time": round(frame.time, 6), "detections": rows})
        if self._options.pictures:
            drawn = np.flatnonzero(scores >= self._options.picture_score).tolist()
            tracks = ["" if not numbers or numbers[own] is None else f"#{numbers[own]} " for own in drawn]
            texts = [f"{track}{scores[own]:.2f}" for track, own in zip(tracks, drawn, strict=True)]
            self._write(draw_frame(frame.pixels, boxes[drawn], labels[drawn], texts), frame.time)
        self.frames += 1
        self.detections += len(rows)

    def _write(self, picture: NDArray[np.uint8], time: float) -> None:
        if self._draw is None:
            size = picture.shape[1], picture.shape[0]
            opening = video_file(self._path.with_suffix(".mp4"), self._rate, size, lambda: self._video.end)
            self._draw = self._stack.enter_context(opening)
        self._draw(picture, time)


def _found(
    finder: Finder, video: OpenVideo, path: Path, options: JobOptions
) -> Iterator[tuple[Frame, Rows, bool]]:
    """Yield each frame with what was found in it, and whether that is new; look at some frames at a time."""
    frames = video.frames(options.every)
    for line in map(json.loads, whole_lines(path)):  # of before a kill or Ctrl-C
        frame = next(frames, None)
        if frame is None or frame.index != line["frame"]:
            raise InputError(
                f"{path}: its lines are of other frames than the video has; choose another --output"
            )
        yield frame, line["detections"], False
    looking = in_slices(finder, options.slicing, batch_size=options.batch_size)
    together = options.batch_size if options.slicing is None else 1
    while batch := list(islice(frames, together)):
        with torch.inference_mode():
            found = looking([to_tensor(frame.pixels, finder.device) for frame in batch])
        for frame, own in zip(batch, found, strict=True):
            yield frame, _rows(own, finder.classes), True


def _rows(found: Detections, classes: Sequence[str]) -> Rows:
    """The detections of a frame as in COCO results, without their image."""
    boxes, scores = (found[key].float().cpu().numpy() for key in ("boxes", "scores"))
    ids, labels = range(1, len(classes) + 1), found["labels"].cpu().numpy()
    return coco_results(None, boxes, scores, labels, category_ids=ids, names=classes, rounded=True)


def _columns(rows: Rows) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Boxes ``[M, 4]`` (x1 y1 x2 y2), scores ``[M]`` and labels ``[M]`` of what :func:`_rows` made."""
    boxes = np.array([row["bbox"] for row in rows], dtype=np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    scores = np.array([row["score"] for row in rows], dtype=np.float32)
    return boxes, scores, np.array([row["category_id"] - 1 for row in rows], dtype=np.int64)
