"""From one layout to another, with a list of what the other cannot hold."""

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from srtod.data.checks import check_images, check_sizes
from srtod.data.formats import WRITERS, find_splits
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.support.errors import CONTROLS, InputError, did_you_mean, shown
from srtod.support.files import atomic_folder
from srtod.support.progress import counting_bar


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
        The splits, of which those that are left without images are not written, and what the layout could
        not hold of the others, counted.

    Raises:
        InputError: the source has faults (unless ``skip_bad``) or no sound image, its splits disagree on the
            classes, or the target is not empty or cannot be written.
    """
    check_layout(to)
    read = read_sets(source, format, split)
    require_same_classes([one for one in read if one.records])
    sets = [checked(annotated, skip_bad=skip_bad, progress=progress) for annotated in read]
    return sets, write_sets(with_images(sets), target, to, link=link, progress=progress)


def with_images(sets: Sequence[AnnotatedSet]) -> list[AnnotatedSet]:
    """Return the splits that have sound images.

    Raises:
        InputError: none has.
    """
    found = [one for one in sets if one.records]
    if not found:
        raise InputError(
            f"{sets[0].source}: no image is sound, so there is nothing to write; see srtod data inspect"
        )
    return found


def check_layout(to: str) -> None:
    """Refuse a layout that nothing is written in.

    Raises:
        InputError: naming those that are known.
    """
    if to not in WRITERS:
        known = ", ".join(WRITERS)
        raise InputError(f"cannot convert to {to!r}{did_you_mean(to, WRITERS)}; known are {known}")


def checked(annotated: AnnotatedSet, *, skip_bad: bool, progress: bool) -> AnnotatedSet:
    """Decode all images of a split; stop at its first fault, or leave out what is damaged.

    Raises:
        InputError: it has a fault, unless ``skip_bad``.
    """
    found = decoded(check_sizes(annotated), progress=progress)
    return found if skip_bad else found.require_sound()


def decoded(annotated: AnnotatedSet, *, progress: bool) -> AnnotatedSet:
    """Decode all images of a split, whatever the range of their values: files are copied as they are."""
    return check_images(annotated.stretched("percentiles"), progress=progress).stretched("auto")


def write_sets(
    sets: Sequence[AnnotatedSet], target: Path, to: str, *, link: bool, progress: bool
) -> Counter[str]:
    """Write splits in a layout with their images, whole or not at all; count what it cannot hold.

    Raises:
        InputError: the target is not empty or cannot be written, or the layout cannot hold a class name.
    """
    images = sum(len(annotated.records) for annotated in sets)
    for name in sets[0].classes if to != "coco" else ():  # texts of lines and XML
        if CONTROLS.search(name) or not name.strip():
            raise InputError(
                f"{sets[0].source}: the class name '{shown(name)}' is empty or has control characters, which "
                f"{to} cannot hold; rename it, or convert to coco"
            )
    with atomic_folder(target) as scratch, counting_bar(images, shown=progress) as bar:
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

        return WRITERS[to](sets, scratch, place)


def read_sets(source: Path, format: str | None, split: str | None) -> list[AnnotatedSet]:
    """Read one split of a data set, or all.

    Raises:
        InputError: as :func:`srtod.data.read`.
    """
    found = find_splits(Path(source), format)
    if split is not None and split not in found:
        raise InputError(f"{source}: no split {split!r}; it has {', '.join(found)}")
    return [read() for name, read in found.items() if split in (None, name)]


def require_same_classes(sets: Sequence[AnnotatedSet]) -> None:
    """Refuse splits that cannot be written together.

    Raises:
        InputError: one has other classes than the first.
    """
    for annotated in sets[1:]:
        if (annotated.classes, annotated.category_ids) != (sets[0].classes, sets[0].category_ids):
            raise InputError(
                f"{annotated.source}: has other classes than {sets[0].source}; "
                "convert one by one with --split"
            )


def _link(source: Path, path: Path) -> None:
    try:
        os.link(os.path.realpath(source), path)
    except OSError as error:
        raise InputError(
            f"{source}: cannot be linked to the target: {error.strerror}; copy the images instead (--copy)"
        ) from error
