"""The work of ``srtod predict``: images in, one new folder with results and pictures out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from srtod.data.records import ImageRecord
from srtod.defaults import PICTURE_SCORE
from srtod.inference.finder import Finder
from srtod.inference.inputs import ImageFile
from srtod.inference.labels import check_layout, labelled, write_labels
from srtod.inference.predict import predict
from srtod.inference.slices import Slicing
from srtod.inference.writers import picture_names, results_of, write_picture
from srtod.results import results_file
from srtod.support.errors import InputError
from srtod.support.files import atomic_folder
from srtod.support.progress import Progress, counting_bar


@dataclass(frozen=True)
class Done:
    """What was done.

    Attributes:
        images: how many images were looked at.
        detections: how many detections were written.
        skipped: why images were left out, one line each.
    """

    images: int
    detections: int
    skipped: tuple[str, ...]


def predict_files(
    finder: Finder,
    images: Sequence[ImageFile],
    output: Path,
    *,
    batch_size: int = 1,
    slicing: Slicing | None = None,
    pictures: bool = True,
    picture_score: float = PICTURE_SCORE,
    labels: str | None = None,
    skip_bad: bool = False,
    category_ids: Sequence[int] = (),
    progress: bool = True,
) -> Done:
    """Write ``detections.json`` (COCO results) and ``pictures/`` into a new folder, whole or not at all.

    Args:
        finder: a detector in evaluation mode, or what else finds objects.
        images: what to look at.
        output: a folder that does not exist yet or is empty.
        batch_size: images, or slices of one, that go through the network together.
        slicing: look at each image in slices; then it may be larger than what is read whole.
        pictures: whether to draw annotated pictures.
        picture_score: detections below are not drawn, and are no labels.
        labels: write what was found as a data set of this layout, too (:mod:`srtod.inference.labels`).
        skip_bad: leave images out that cannot be read, instead of stopping.
        category_ids: the number of each class in the file; counted from 1 if left out.
        progress: show a progress bar on standard error.

    Raises:
        InputError: an image cannot be read (with ``skip_bad``: none can), or ``output`` cannot be written.
    """
    if labels is not None:
        check_layout(labels)
    by_path = {image.path: (image, name) for image, name in zip(images, picture_names(images), strict=True)}
    numbers = category_ids or range(1, len(finder.classes) + 1)
    skipped: list[str] = []
    records: list[ImageRecord] = []
    seen = 0
    pieces = len(images) if slicing is None else 2
    with atomic_folder(output) as folder, counting_bar(pieces, shown=progress) as bar:
        task = bar.add_task("predict", total=len(images))

        def leave_out(path: Path, error: InputError) -> None:
            skipped.append(str(error))
            bar.advance(task)

        found = predict(
            finder,
            by_path,
            batch_size=batch_size,
            slicing=slicing,
            on_bad=leave_out if skip_bad else None,
            on_pass=_shows_slices(bar),
        )
        with results_file(folder / "detections.json") as results:
            for prediction in found:
                image, name = by_path[prediction.path]
                results.add(results_of(prediction, image, finder.classes, numbers))
                if pictures:
                    target = folder / "pictures" / name
                    write_picture(target, prediction, image, finder.classes, min_score=picture_score)
                if labels is not None:
                    records.append(labelled(prediction, image, min_score=picture_score))
                seen += 1
                bar.advance(task)
        if not seen:
            raise InputError(f"none of the {len(images)} images can be read; the first: {skipped[0]}")
        if labels is not None:
            write_labels(records, folder / "labels", labels, finder.classes, numbers)
    return Done(images=seen, detections=results.count, skipped=tuple(skipped))


def _shows_slices(bar: Progress) -> Callable[[Path, int, int], None]:
    """Make what shows a bar of the slices of the image at hand."""
    task = bar.add_task("slices", visible=False)
    shown: list[Path] = []

    def show(path: Path, done: int, total: int) -> None:
        if shown != [path]:
            shown[:] = [path]
            bar.reset(task, total=total, visible=True, description=f"slices of {path.name}")
        bar.advance(task, done)

    return show
