"""From what a file says to sound records: the checks that every layout shares."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from srtod.data.folders import list_folder
from srtod.data.formats.layout import read_lines
from srtod.data.images import image_size
from srtod.data.records import AnnotatedSet, Fault, ImageRecord
from srtod.support.errors import InputError

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
        self._records: list[ImageRecord] = []
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
    ) -> None:
        """Note something that is wrong; ``file`` is the source where none is given."""
        self._annotations_seen |= annotation_id is not None
        self._faults.append(Fault(file or self.source, what, image_id, annotation_id))

    def note(self, what: str) -> None:
        """Note something that the user should know and that costs nothing."""
        self._notes.append(f"{self.source}: {what}")

    def image_files(self, folder: Path) -> list[Path]:
        """List the image files of a folder, and note what is left out there."""
        listing = list_folder(folder)
        for note in listing.notes():
            self.note(note)
        return listing.images

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
    ) -> None:
        """Add an image with the sound ones of its marks; the others become faults.

        Args:
            image_id: the set's own id.
            file_name: name relative to the image folder.
            path: the image file.
            size: width and height in pixels.
            marks: what is marked in it.
            file: where the marks stand, for faults (default: the source).
            fields: what else is said of the image.
        """
        self._annotations_seen |= bool(marks)
        given = np.array([mark.box for mark in marks], dtype=np.float64).reshape(-1, 4)
        boxes, sound, complaints = check_boxes(given, *size)
        for index, what in complaints.items():
            name = marks[index].where or marks[index].annotation_id
            self.fault(what, file=file, image_id=image_id, annotation_id=name)
        kept = [mark for mark, good in zip(marks, sound, strict=True) if good]
        record = ImageRecord(
            image_id=image_id,
            file_name=file_name,
            path=path,
            width=size[0],
            height=size[1],
            boxes=boxes[sound],
            labels=np.array([mark.label for mark in kept], dtype=np.int64),
            ignore=np.array([mark.ignore for mark in kept], dtype=np.bool_),
            annotation_ids=np.array([mark.annotation_id for mark in kept], dtype=np.int64),
            attributes=tuple(mark.attributes for mark in kept),
            fields=fields,
        )
        self._records.append(record)

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
                self.fault(str(error), file=file, image_id=image_id, annotation_id=where)
        self.add(image_id, file_name, path, size, marks, file=file)

    def add_text(
        self,
        image_id: int,
        file_name: str,
        path: Path,
        text: Path | None,
        parse: Callable[[str, tuple[int, int]], Mark],
    ) -> None:
        """Add an image with a text file, a line a box, or without one; see :meth:`add_items`."""
        try:
            lines = [] if text is None else read_lines(text)
        except InputError as error:
            self.reject(error, image_id)
            return
        items = [(f"line {number}", line) for number, line in enumerate(lines, start=1) if line.strip()]
        self.add_items(image_id, file_name, path, items, parse, file=text)

    def build(self) -> AnnotatedSet:
        """Return the split; one without images or annotations has that as a fault."""
        if not self._records and not self._faults:
            self.fault("no images at all")
        elif self._records and not self._annotations_seen:
            self.fault("no annotations at all: nothing is marked in any image")
        return AnnotatedSet(
            source=self.source,
            format=self.format,
            split=self.split,
            classes=self.classes,
            records=tuple(self._records),
            faults=tuple(self._faults),
            category_ids=self.category_ids,
            notes=tuple(self._notes),
        )


def check_boxes(
    boxes: NDArray[np.float64], width: int, height: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_], dict[int, str]]:
    """Clip boxes to their image and say what is wrong with them.

    A box that reaches out by more than :data:`TOLERANCE` is clipped, kept and complained of; one that has no
    size, no numbers or no part inside is complained of and not sound.

    Args:
        boxes: ``[N, 4]`` x1 y1 x2 y2 in pixels.
        width: of the image.
        height: of the image.

    Returns:
        The clipped boxes ``[N, 4]``, which of them are sound ``[N]``, and the complaints by index.
    """
    limits = np.array([width, height, width, height], dtype=np.float64)
    clipped = np.clip(boxes, 0.0, limits)
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(boxes).all(axis=1)
        sized = np.logical_and(finite, (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
        inside = np.logical_and(sized, (clipped[:, 2:] > clipped[:, :2]).all(axis=1))
        overshoot = np.abs(boxes - clipped).max(axis=1, initial=0.0)
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
    return clipped, inside, complaints


def _describe(box: NDArray[np.float64]) -> str:
    x, y, right, bottom = (float(value) for value in box)
    return f"(x {x:g}, y {y:g}, width {right - x:g}, height {bottom - y:g})"
