"""From what a file says to sound records: the checks that every layout shares."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from srtod.data.folders import list_folder
from srtod.data.formats.layout import ImageFinder, read_lines
from srtod.data.images import image_size
from srtod.data.records import ANY_CLASS, AnnotatedSet, Fault, ImageRecord
from srtod.support.errors import InputError

_IGNORE_CLASSES = re.compile(r"(?:ignored?|don'?tcare)(?:regions?|areas?)?")
"""Names of classes, without spaces, strokes and underscores, that mark regions to ignore."""

TOLERANCE = 1.0
"""Pixels a box may reach out of its image and be clipped without a word: AI-TOD and VisDrone count so."""

_NOTHING: Mapping[str, Any] = {}

Item = TypeVar("Item")


class Mark(NamedTuple):
    """One annotation as its file gives it; ``box`` is x1 y1 x2 y2 in pixels, not yet checked."""

    box: tuple[float, float, float, float]
    label: int
    ignore: bool = False
    attributes: Mapping[str, Any] = _NOTHING
    annotation_id: int = 0
    where: str | None = None  # how faults call it in files without ids: "line 3"
    wrong: str = ""  # why it is no object, though its place is known: a region to ignore


class SetBuilder:
    """Collects the images and faults of one split.

    Args:
        source: file or folder the split is read from, named by faults that have no file of their own.
        format: the layout's name.
        split: the split's name.
        classes: names in label order.
        category_ids: the set's own numbers of the classes, where it has any.
    """

    def __init__(
        self, source: Path, format: str, split: str, classes: Sequence[str], category_ids: Sequence[int] = ()
    ) -> None:
        self.source = source
        self.format = format
        self.split = split
        self.classes = tuple(classes)
        self.category_ids = tuple(category_ids)
        self._records: dict[str, list[ImageRecord]] = {}  # by real path: several entries may name one file
        self._left_out: list[ImageRecord] = []
        self._faults: list[Fault] = []
        self._notes: list[str] = []
        self._annotations_seen = False
        self._annotation_id = 0

    def fault(
        self,
        what: str,
        *,
        file: Path | None = None,
        image_id: int | str | None = None,
        annotation_id: int | str | None = None,
        mended: bool = False,
    ) -> None:
        """Note something that is wrong; ``file`` is the source where none is given."""
        self._annotations_seen |= annotation_id is not None
        self._faults.append(Fault(file or self.source, what, image_id, annotation_id, mended))

    def note(self, what: str) -> None:
        """Note something that the user should know and that costs nothing."""
        self._notes.append(f"{self.source}: {what}")

    def image_files(self, folder: Path) -> list[Path]:
        """List the image files of a folder, and note what is left out there."""
        listing = list_folder(folder)
        for note in listing.notes():
            self.note(note)
        return listing.images

    def note_names(self, finder: ImageFinder) -> None:
        """Note how many image files are called otherwise than the annotations say."""
        if finder.elsewhere:
            said, found = finder.elsewhere[0]
            self.note(
                f"{len(finder.elsewhere):,} image files are called otherwise than said, such as {found!r} "
                f"for {said!r}: found by their base names"
            )

    def reject(self, error: InputError, image_id: int | str) -> None:
        """Note that an image or its annotation file cannot be read; the error begins with the file's name."""
        file, _, what = str(error).partition(": ")
        self.fault(what, file=Path(file), image_id=image_id)

    def add(
        self,
        image_id: int | str,
        file_name: str,
        path: Path,
        size: tuple[int, int],
        marks: Sequence[Mark],
        *,
        file: Path | None = None,
        fields: Mapping[str, Any] = _NOTHING,
        lost: bool = False,
    ) -> None:
        """Add an image with what is marked in it.

        A mark that is wrong while its place is known becomes a region to ignore, so that nothing learns an
        object as background. An image goes where the place of a mark is not known.

        Args:
            image_id: the set's own id.
            file_name: name relative to the image folder.
            path: the image file.
            size: width and height in pixels.
            marks: what is marked in it.
            file: where the marks stand, for faults (default: the source).
            fields: what else is said of the image.
            lost: leave the image out, because it is missing or something is marked in a place not known.
        """
        self._annotations_seen |= bool(marks)
        given = np.array([mark.box for mark in marks], dtype=np.float64).reshape(-1, 4)
        boxes, sound, placed, complaints = check_boxes(given, *size)
        for index, mark in enumerate(marks):
            if what := mark.wrong or complaints.get(index):
                name = mark.where or mark.annotation_id
                clipped = bool(sound[index]) and not mark.wrong
                self.fault(what, file=file, image_id=image_id, annotation_id=name, mended=clipped)
        ignored = ~sound | np.array([mark.ignore or bool(mark.wrong) for mark in marks], dtype=np.bool_)
        labels = np.where(sound, np.array([mark.label for mark in marks], dtype=np.int64), ANY_CLASS)
        kept = np.flatnonzero(placed)
        record = ImageRecord(
            image_id=image_id,
            file_name=file_name,
            path=path,
            width=size[0],
            height=size[1],
            boxes=boxes[kept],
            labels=labels[kept],
            ignore=ignored[kept],
            annotation_ids=np.array([mark.annotation_id for mark in marks], dtype=np.int64)[kept],
            attributes=tuple(marks[index].attributes for index in kept.tolist()),
            fields=fields,
        )
        if lost or not np.isfinite(given).all():
            self._left_out.append(record.take([]))
        else:
            self._records.setdefault(os.path.realpath(path), []).append(record)

    def add_items(
        self,
        image_id: int,
        file_name: str,
        path: Path,
        items: Iterable[tuple[str, Item]],
        parse: Callable[[Item, tuple[int, int]], Mark],
        *,
        file: Path | None,
        size: tuple[int, int] | None = None,
        lost: bool = False,
    ) -> None:
        """Add an image of a layout that does not number annotations: they are counted from 1.

        Args:
            image_id: counted from 1.
            file_name: name relative to the image folder.
            path: the image file.
            items: what stands for a box each, and what faults call it.
            parse: reads an item, given the image's width and height; raises ValueError saying what is wrong.
            file: where the items stand.
            size: width and height in pixels; ``None`` reads them from the header of the image.
            lost: as in :meth:`add`.
        """
        try:
            size = size or image_size(path)
        except InputError as error:
            self.reject(error, image_id)
            return
        marks = []
        for where, item in items:
            self._annotation_id += 1
            try:
                marks.append(parse(item, size)._replace(annotation_id=self._annotation_id, where=where))
            except ValueError as error:
                lost = True
                self.fault(str(error), file=file, image_id=image_id, annotation_id=where)
        self.add(image_id, file_name, path, size, marks, file=file, lost=lost)

    def add_text(
        self,
        image_id: int,
        file_name: str,
        path: Path,
        text: Path | None,
        parse: Callable[[str, tuple[int, int]], Mark],
        *,
        lost: bool = False,
    ) -> None:
        """Add an image with a text file, a line a box, or without one; see :meth:`add_items`."""
        try:
            lines = [] if text is None else read_lines(text)
        except InputError as error:
            self.reject(error, image_id)
            return
        told = [(f"line {number}", line) for number, line in enumerate(lines, start=1)]
        items = [(where, line) for where, line in told if line.partition("#")[0].strip()]
        self.add_items(image_id, file_name, path, items, parse, file=text, lost=lost)

    def build(self) -> AnnotatedSet:
        """Return the split; one without images or annotations has that as a fault."""
        records = self._without_ignore_classes(
            tuple(self._together(entries) for entries in self._records.values())
        )
        merged = sum(len(entries) - 1 for entries in self._records.values())
        if merged:
            name = next(entries[0].file_name for entries in self._records.values() if len(entries) > 1)
            self.note(
                f"{merged:,} images are there again, such as {name!r}: what is marked in one is put together"
            )
        if not records and not self._faults:
            self.fault("no images at all")
        elif records and not self._annotations_seen:
            self.fault("no annotations at all: nothing is marked in any image")
        else:
            self._note_unused(records)
        return AnnotatedSet(
            source=self.source,
            format=self.format,
            split=self.split,
            classes=self.classes,
            records=records,
            faults=tuple(self._faults),
            category_ids=self.category_ids,
            notes=tuple(self._notes),
            left_out=tuple(self._left_out),
        )

    def _without_ignore_classes(self, records: tuple[ImageRecord, ...]) -> tuple[ImageRecord, ...]:
        """What a class marks that is called ``ignore`` or the like are regions to ignore of any class."""
        names = [re.sub(r"[\s_-]", "", name.casefold()) for name in self.classes]
        kept = [label for label, name in enumerate(names) if not _IGNORE_CLASSES.fullmatch(name)]
        if not kept or len(kept) == len(names):
            return records
        others = ", ".join(name for label, name in enumerate(self.classes) if label not in kept)
        self.note(f"{others}: marks regions to ignore, no class")
        self.classes = tuple(self.classes[label] for label in kept)
        self.category_ids = tuple(self.category_ids[label] for label in kept) if self.category_ids else ()
        renumbered = np.full(len(names) + 1, ANY_CLASS)  # the last is that of ANY_CLASS itself
        renumbered[kept] = np.arange(len(kept))
        changed = ((record, renumbered[record.labels]) for record in records)
        return tuple(
            replace(record, labels=labels, ignore=record.ignore | (labels == ANY_CLASS))
            for record, labels in changed
        )

    def _note_unused(self, records: Sequence[ImageRecord]) -> None:
        """Say which classes have no object here; they stay, for others' numbers and other splits' sake."""
        marked = set(np.concatenate([np.zeros(0, np.int64), *(record.labels for record in records)]).tolist())
        unused = [name for label, name in enumerate(self.classes) if label not in marked]
        if unused and records:
            some = ", ".join(unused[:5]) + (", ..." if len(unused) > 5 else "")
            which = f"{len(unused):,} of {len(self.classes):,} classes ({some})"
            self.note(f"nothing refers to {which}: they keep their numbers")

    def _together(self, entries: Sequence[ImageRecord]) -> ImageRecord:
        """One image of all entries that name its file, with every box once."""
        first = entries[0]
        columns = ("boxes", "labels", "ignore", "annotation_ids")
        whole = (
            first
            if len(entries) == 1
            else replace(
                first,
                attributes=tuple(chain.from_iterable(entry.attributes for entry in entries)),
                **{name: np.concatenate([getattr(entry, name) for entry in entries]) for name in columns},
            )
        )
        rows = np.column_stack([whole.boxes, whole.labels, whole.ignore])
        if len(set(map(tuple, rows.tolist()))) == len(rows):
            return whole
        _, kept, times = np.unique(rows, axis=0, return_index=True, return_counts=True)
        if len(entries) == 1:
            for index in kept[times > 1].tolist():
                what = f"box {_describe(whole.boxes[index])} is there twice or more (counted once)"
                number = int(whole.annotation_ids[index])
                self.fault(what, image_id=whole.image_id, annotation_id=number, mended=True)
        return whole.take(sorted(kept.tolist()))


def check_boxes(
    boxes: NDArray[np.float64], width: int, height: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[int, str]]:
    """Clip boxes to their image and say what is wrong with them.

    A box that reaches out by more than :data:`TOLERANCE` is clipped, kept and complained of; one that has no
    size, no numbers or no part inside is complained of and not sound.

    Args:
        boxes: ``[N, 4]`` x1 y1 x2 y2 in pixels.
        width: of the image.
        height: of the image.

    Returns:
        The clipped boxes ``[N, 4]``, which of them are sound ``[N]``, which have a place in the image all the
        same ``[N]`` (one without a size: at least a pixel of it), and the complaints by index.
    """
    limits = np.array([width, height, width, height], dtype=np.float64)
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(boxes).all(axis=1)
        sized = np.logical_and(finite, (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
        least, most = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
        middle = (least + most) / 2
        grown = np.hstack([np.minimum(least, middle - 0.5), np.maximum(most, middle + 0.5)])
        clipped = np.clip(np.where(sized[:, None], boxes, grown), 0.0, limits)
        placed = np.logical_and(finite, (clipped[:, 2:] > clipped[:, :2]).all(axis=1))
        inside = np.logical_and(sized, placed)
        overshoot = np.where(sized, np.abs(boxes - clipped).max(axis=1, initial=0.0), 0.0)
    image = f"the image of {width} x {height} pixels"
    reasons = {  # the first that applies
        "has NaN or infinite numbers; correct or remove it": ~finite,
        "has zero or negative size; correct or remove it": ~sized,
        f"lies outside {image}; correct or remove it": ~inside,
        f"reaches out of {image} (clipped to it); correct it": overshoot > TOLERANCE,
    }
    complaints: dict[int, str] = {}
    for reason, applies in reasons.items():
        for index in np.flatnonzero(applies).tolist():
            complaints.setdefault(index, f"box {_describe(boxes[index])} {reason}")
    return clipped, inside, placed, complaints


def _describe(box: NDArray[np.float64]) -> str:
    x, y, right, bottom = (float(value) for value in box)
    return f"(x {x:g}, y {y:g}, width {right - x:g}, height {bottom - y:g})"
