"""The one form in which every data set is held, whatever its files look like."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srtod.data.images import depth_note, image_size, read_image
from srtod.defaults import Stretch
from srtod.support.errors import InputError

SOME = 50
"""Images that are looked at where all of them would take long."""
ANY_CLASS = -1
"""Label of a region to ignore that holds for every class (VisDrone's ignored regions)."""


@dataclass(frozen=True)
class Fault:
    """Something wrong in a data set: the file, the image and annotation it is about, and what is wrong.

    ``mended``: it was put right in reading and costs nothing, so nobody need stop.
    """

    file: Path
    what: str
    image_id: int | str | None = None
    annotation_id: int | str | None = None
    mended: bool = False

    @property
    def cause(self) -> str:
        """What is wrong without the names and numbers that differ from case to case."""
        return re.sub(r"\([^)]*\)|'[^']*'|\"[^\"]*\"|\[[^]]*\]|\S*\d\S*|nan|inf", "_", self.what)

    def __str__(self) -> str:
        where = [str(self.file)]
        if self.image_id is not None:
            where.append(f"image {self.image_id}")
        if self.annotation_id is not None:
            where.append(f"annotation {self.annotation_id}")
        return f"{', '.join(where)}: {self.what}"


def told(faults: Iterable[Fault]) -> list[str]:
    """Say what is wrong, a line a cause: the first example and how many more there are."""
    groups: dict[str, list[Fault]] = {}
    for fault in faults:
        groups.setdefault(fault.cause, []).append(fault)
    more = (
        f" (and {len(group) - 1:,} more like this)" if len(group) > 1 else "" for group in groups.values()
    )
    return [f"{group[0]}{count}" for group, count in zip(groups.values(), more, strict=True)]


@dataclass(frozen=True)
class ImageRecord:
    """One image and what is marked in it.

    Attributes:
        image_id: the data set's own id (COCO: ``images[].id``; else counted from 1).
        file_name: path relative to the set's image folder, with forward slashes.
        path: the file itself.
        width, height: pixels of the image that the boxes refer to: as displayed (EXIF orientation applied),
            or as stored where the annotations were made on that.
        boxes: float64 ``[N, 4]``, x1 y1 x2 y2 in pixels.
        labels: int64 ``[N]``, indices into the set's classes, or :data:`ANY_CLASS` where ``ignore``.
        ignore: bool ``[N]``, regions that are neither object nor background (COCO ``iscrowd``).
        annotation_ids: int64 ``[N]``.
        attributes: N mappings of what else the format says of a box (truncation, segmentation, ...); N empty
            ones if left out.
        stretch: which values of more than 8 bits become 0 and 255.
        fields: what else the format says of the image (COCO: ``video_id``, ``license``, ...).
    """

    image_id: int | str
    file_name: str
    path: Path
    width: int
    height: int
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    ignore: NDArray[np.bool_]
    annotation_ids: NDArray[np.int64]
    attributes: tuple[Mapping[str, Any], ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    stretch: Stretch = "auto"

    def __post_init__(self) -> None:
        if not self.attributes:
            object.__setattr__(self, "attributes", ({},) * len(self.boxes))

    @property
    def object_count(self) -> int:
        """How many of the boxes are objects, and not regions to ignore."""
        return int((~self.ignore).sum())

    def read(self) -> NDArray[np.uint8]:
        """Read the image that the boxes are about; see :func:`~srtod.data.images.read_image`."""
        return read_image(self.path, (self.width, self.height), self.stretch)

    def take(self, rows: Sequence[int]) -> "ImageRecord":
        """Return the image with some of its boxes."""
        index = np.array(rows, dtype=np.int64)
        return replace(
            self,
            boxes=self.boxes[index],
            labels=self.labels[index],
            ignore=self.ignore[index],
            annotation_ids=self.annotation_ids[index],
            attributes=tuple(self.attributes[row] for row in rows),
        )


def empty_record(path: Path, folder: Path) -> ImageRecord:
    """The record of an image below a folder in which nothing is marked; its path there is its id.

    Raises:
        InputError: it is no image.
    """
    name, none = path.relative_to(folder).as_posix(), np.zeros(0, dtype=np.int64)
    boxes, ignore = np.zeros((0, 4)), np.zeros(0, dtype=bool)
    return ImageRecord(name, name, path, *image_size(path), boxes, none, ignore, none)


@dataclass(frozen=True)
class AnnotatedSet:
    """One split of a data set.

    Attributes:
        source: the file or folder it was read from (an annotation file where there is one).
        format: the layout's name, of :data:`srtod.data.formats.READERS`.
        split: ``train``, ``val``, ``test`` ..., or ``""`` where the layout has no splits.
        classes: names in label order.
        records: the sound images with their sound boxes.
        faults: what is wrong: images and boxes left out of ``records``, and boxes clipped to their image.
        category_ids: the data set's own numbers of the classes (COCO), or empty where it has none.
        notes: what was read otherwise than it is written and costs nothing, a line each.
        left_out: images that are not among ``records`` because something in them is wrong, without boxes.
    """

    source: Path
    format: str
    split: str
    classes: tuple[str, ...]
    records: tuple[ImageRecord, ...]
    faults: tuple[Fault, ...] = field(default=())
    category_ids: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[ImageRecord, ...] = ()

    @property
    def has_objects(self) -> bool:
        """Whether anything is marked in any image that is not a region to ignore."""
        return any(record.object_count for record in self.records)

    def category_id_of(self, label: int) -> int:
        """The number that the set's files give to a class; counted from 1 where they have none."""
        return self.category_ids[label] if self.category_ids else label + 1

    def evenly(self, most: int | None) -> "AnnotatedSet":
        """Return this set with at most so many images, evenly spaced among all; None keeps all."""
        if most is None or most >= len(self.records):
            return self
        chosen = (number * len(self.records) // most for number in range(most))
        return replace(self, records=tuple(self.records[index] for index in chosen))

    def stretched(self, stretch: Stretch) -> "AnnotatedSet":
        """The same set, its images read with this stretch."""
        return replace(self, records=tuple(replace(record, stretch=stretch) for record in self.records))

    def stretch_notes(self) -> list[str]:
        """Say of the first of some images that is stretched how."""
        if any(record.stretch != "auto" for record in self.records):
            return []
        notes = (depth_note(record.path) for record in self.evenly(SOME).records)
        return list(islice(filter(None, notes), 1))

    def every_image(self) -> "AnnotatedSet":
        """Return this set with all its images, for a purpose that asks for their ids and names alone."""
        return replace(self, records=(*self.records, *self.left_out), faults=(), left_out=())

    def require_sound(self) -> "AnnotatedSet":
        """Return this set if it has no faults but those that are mended.

        Raises:
            InputError: the first fault, how many more there are, and what to do.
        """
        first, *others = told(fault for fault in self.faults if not fault.mended) or ("",)
        if not first:
            return self
        more = f" (and {len(others)} more kinds of faults)" if others else ""
        raise InputError(
            f"{first}{more}; see them all with 'srtod data inspect'; "
            "train, evaluate, predict and convert can leave out what is damaged with --skip-bad"
        )
