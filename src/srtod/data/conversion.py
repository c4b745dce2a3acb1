"""From one layout to another, with a list of what the other cannot hold."""

import os
import shutil
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from srtod.data.checks import check_images, check_sizes
from srtod.data.formats import WRITERS, find_splits
from srtod.data.formats.writing import Place
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.support.errors import InputError, did_you_mean
from srtod.support.files import atomic_folder


def convert(
    source: Path,
    target: Path,
    to: str,
    *,
    format: str | None = None,
    split: str | None = None,
    link: bool = False,
    skip_bad: bool = False,
    progress: bool = False,
) -> tuple[list[AnnotatedSet], Counter[str]]:
    """Write a data set in another layout, whole or not at all.

    Image files keep their content. What a record does not hold is not carried over: COCO's info, licences and
    supercategories.

    Args:
        source: a data set in any known layout.
        target: a folder that does not exist yet or is empty.
        to: ``coco``, ``visdrone``, ``yolo`` or ``voc``.
        format: the source's layout; ``None`` recognises it.
        split: convert this one alone; ``None`` converts all.
        link: give the images further names (hard links) instead of copying them.
        skip_bad: leave damaged images and boxes out instead of stopping.
        progress: show bars on stderr.

    Returns:
        The splits as they were written, and what the layout could not hold of them, counted.

    Raises:
        InputError: the source has faults (unless ``skip_bad``), its splits disagree on the classes, or the
            target is not empty or cannot be written.
    """
    if to not in WRITERS:
        known = ", ".join(WRITERS)
        raise InputError(f"cannot convert to {to!r}{did_you_mean(to, WRITERS)}; known are {known}")
    sets = [_readable(annotated, skip_bad, progress) for annotated in _read(source, format, split)]
    images = sum(len(annotated.records) for annotated in sets)
    with atomic_folder(target) as scratch, _placing(images, link=link, progress=progress) as place:
        lost = WRITERS[to](sets, scratch, place)
    return sets, lost


def _read(source: Path, format: str | None, split: str | None) -> list[AnnotatedSet]:
    found = find_splits(Path(source), format)
    if split is not None and split not in found:
        raise InputError(f"{source}: no split {split!r}; it has {', '.join(found)}")
    sets = [read() for name, read in found.items() if split in (None, name)]
    for annotated in sets[1:]:
        if (annotated.classes, annotated.category_ids) != (sets[0].classes, sets[0].category_ids):
            raise InputError(
                f"{annotated.source}: has other classes than {sets[0].source}; "
                "convert one by one with --split"
            )
    return sets


def _readable(annotated: AnnotatedSet, skip_bad: bool, progress: bool) -> AnnotatedSet:
    checked = check_images(check_sizes(annotated), progress=progress)
    return checked if skip_bad else checked.require_sound()


@contextmanager
def _placing(images: int, *, link: bool, progress: bool) -> Generator[Place]:
    """Yield the call that puts an image file in place, behind a bar that counts the images."""
    console = Console(stderr=True)
    hidden = not (progress and console.is_terminal)
    with Progress(console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("linking images" if link else "copying images", total=images)

        def place(record: ImageRecord, path: Path) -> None:
            bar.advance(task)
            if path.exists():  # of another split, too
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            if link:
                _link(record.path, path)
            else:
                shutil.copyfile(record.path, path)

        yield place


def _link(source: Path, path: Path) -> None:
    try:
        os.link(os.path.realpath(source), path)
    except OSError as error:
        raise InputError(
            f"{source}: cannot be linked to the target: {error.strerror}; copy the images instead (--copy)"
        ) from error


def describe_conversion(sets: Sequence[AnnotatedSet], lost: Counter[str], target: Path, to: str) -> list[str]:
    """Return a line for each split, for what was left out of the source, and for each loss."""
    lines = [
        f"{target}: {annotated.split or 'all'}: {len(annotated.records):,} images, "
        f"{sum(len(record.boxes) for record in annotated.records):,} boxes"
        for annotated in sets
    ]
    lines += [f"left out or clipped: {fault}" for annotated in sets for fault in annotated.faults]
    lines += [f"{to} cannot hold {what}: {count:,}" for what, count in lost.most_common()]
    return lines if lost else [*lines, f"{to} holds everything"]
