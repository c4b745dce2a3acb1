"""Images in, one folder with results and pictures out."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from os import cpu_count
from pathlib import Path, PurePosixPath
from typing import Any

from srtod.inference.inputs import GivenImage, ImageFile
from srtod.inference.jobs.labels import write_labels
from srtod.inference.jobs.log import JobLog, digest_of, job_folder, keeping
from srtod.inference.jobs.options import DEFAULT_OPTIONS, JobOptions
from srtod.inference.predict import predictions
from srtod.inference.prediction import Prediction
from srtod.results import results_file
from srtod.support.errors import InputError
from srtod.support.files import atomic_file, file_size
from srtod.support.progress import Progress, counting_bar
from srtod.types import Finder

MOST_WRITERS = 4
"""Threads that draw and write pictures while the network computes."""


@dataclass(frozen=True)
class ImagesDone:
    """How many images were looked at, and how many detections were written."""

    images: int
    detections: int
    drawn: int
    """Detections of at least the pictures' score."""
    skipped: tuple[str, ...] = ()
    """Why images were left out, one line each."""


def predict_images(
    finder: Finder,
    images: Sequence[ImageFile],
    output: Path,
    options: JobOptions = DEFAULT_OPTIONS,
    *,
    category_ids: Sequence[int] = (),
    weights: str | None = None,
) -> ImagesDone:
    """Write ``detections.json`` (COCO results) and ``pictures/`` into a folder.

    Each file is written whole or not at all. However it ends, finished images stay: their pictures, their
    lines in ``log/`` and, unless it was killed, their results.

    Args:
        finder: a detector in evaluation mode, or what else finds objects.
        images: what to look at.
        output: a folder that does not exist yet or is empty, or one to go on with, where images whose files
            have another size than before are looked at anew.
        options: how.
        category_ids: the number of each class in the file; counted from 1 if left out.
        weights: tells the finder from others, so that nobody goes on with another.

    Raises:
        InputError: an image cannot be read (with ``skip_bad``: none can), or ``output`` cannot be written.
    """
    numbers = tuple(category_ids) or tuple(range(1, len(finder.classes) + 1))
    known = digest_of((image.path, image.file_name, image.image_id) for image in images)
    asked = options.deciding("pictures", "picture_score", "labels")
    asked |= {"images": known, "weights": weights, "category_ids": list(numbers)}
    sizes = {
        image.image_id: file_size(image.path) if isinstance(image.path, Path) else None for image in images
    }
    with job_folder(output, asked, resume=options.resume) as log:
        bytes_of_all = digest_of(sizes.values())
        if log.finished is not None and log.finished.pop("bytes", bytes_of_all) == bytes_of_all:
            return ImagesDone(**log.finished)
        log.forget_changed(sizes)
        together = partial(write_results, log, [image.image_id for image in images], options.picture_score)
        with keeping(log, len(images), "images", together):
            _look(finder, images, log, options, numbers, sizes)
        done = together()
        if options.labels is not None:
            write_labels(log, images, options, finder.classes, numbers)
        counts = {"images": done.images, "detections": done.detections, "drawn": done.drawn}
        log.finish(counts | {"bytes": bytes_of_all})
    return done


def write_results(log: JobLog, keys: Sequence[int | str], min_score: float) -> ImagesDone:
    """Put what is logged together into ``detections.json``, in the order of the images.

    Raises:
        InputError: nothing is, as no image can be read.
    """
    skipped, detections, drawn = [], 0, 0
    with atomic_file(log.folder / "detections.json") as scratch, results_file(scratch) as add:
        for line in log.lines(keys):
            if "error" in line:
                skipped.append(line["error"])
                continue
            add(line["detections"])
            detections += len(line["detections"])
            drawn += sum(found["score"] >= min_score for found in line["detections"])
        if not log.done:
            raise InputError(f"none of the {len(keys)} images can be read; the first: {skipped[0]}")
    return ImagesDone(log.done, detections, drawn, tuple(skipped))


def line_of(prediction: Prediction, category_ids: Sequence[int] = ()) -> dict[str, Any]:
    """What is logged of an image in which things were found."""
    rows = prediction.to_coco(category_ids)
    return {"key": prediction.source.image_id, "size": prediction.size, "detections": rows}


def picture_names(images: Sequence[ImageFile]) -> list[str]:
    """Return a name for each image's picture, all different: its file name, ending in ``.png``."""
    names = [str(PurePosixPath(image.file_name).with_suffix(".png")) for image in images]
    return names if len(set(names)) == len(names) else [f"{image.file_name}.png" for image in images]


def _look(
    finder: Finder,
    images: Sequence[ImageFile],
    log: JobLog,
    options: JobOptions,
    numbers: Sequence[int],
    sizes: Mapping[int | str, int | None],
) -> None:
    """Look at the images that are missing, and log each when its picture is written."""
    names = {image.image_id: name for image, name in zip(images, picture_names(images), strict=True)}
    missing = set(log.missing(names, skip_bad=options.skip_bad))
    left = [image for image in images if image.image_id in missing]
    with counting_bar(len(images) if options.slicing is None else 2, shown=options.progress) as bar:
        task = bar.add_task("predict", total=len(images), completed=len(images) - len(left))

        def done(line: dict[str, Any]) -> None:
            log.add(line)
            bar.advance(task)

        def leave_out(image: ImageFile | GivenImage, error: InputError) -> None:
            done({"key": image.image_id, "error": str(error)})

        def finish(prediction: Prediction) -> dict[str, Any]:
            if options.pictures:
                picture = log.folder / "pictures" / names[prediction.source.image_id]
                picture.unlink(missing_ok=True)  # of an image that a kill left without its line
                prediction.save(picture, min_score=options.picture_score)
            return line_of(prediction, numbers) | {"bytes": sizes[prediction.source.image_id]}

        found = predictions(
            finder,
            left,
            batch_size=options.batch_size,
            slicing=options.slicing,
            on_bad=leave_out if options.skip_bad else None,
            on_pass=_shows_slices(bar),
        )
        _finish_behind(found, finish, done)


def _finish_behind(
    found: Iterable[Prediction],
    finish: Callable[[Prediction], dict[str, Any]],
    done: Callable[[dict[str, Any]], None],
) -> None:
    """Let threads finish images while the network computes the next ones; some at a time, in order."""
    writers = min(MOST_WRITERS, cpu_count() or 1)
    waiting: deque[Future[dict[str, Any]]] = deque()
    with ThreadPoolExecutor(writers) as pool:
        try:
            for prediction in found:
                waiting.append(pool.submit(finish, prediction))
                while len(waiting) > writers:
                    done(waiting.popleft().result())
            while waiting:
                done(waiting.popleft().result())
        finally:  # after an error or Ctrl-C, what was begun is finished, too
            for future in waiting:
                if future.exception() is None:
                    done(future.result())


def _shows_slices(bar: Progress) -> Callable[..., None]:
    """Make what shows a bar of the slices of the image at hand."""
    task = bar.add_task("slices", visible=False)

    def show(name: str, done: int, total: int) -> None:
        title = f"slices of {name}"
        if bar.tasks[task].description != title:
            bar.reset(task, total=total, visible=True, description=title)
        bar.advance(task, done)

    return show
