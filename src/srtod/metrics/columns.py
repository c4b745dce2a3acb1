"""Ground truth and detections of a whole set as columns, the form in which they are evaluated."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import contains
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srtod.data.formats.coco_json import CocoFile, ascending
from srtod.data.formats.entries import SEVERAL, Entries, is_id
from srtod.data.records import ANY_CLASS, AnnotatedSet, ImageRecord
from srtod.results import SetDetections
from srtod.support.errors import InputError, did_you_mean


@dataclass(frozen=True)
class TruthTable:
    """Ground truth of N boxes.

    Attributes:
        image_ids: in ascending order, because detections of equal score in different images rank in it.
        classes: names in label order.
        images: int64 ``[N]``, indices into ``image_ids``.
        labels: int64 ``[N]``, indices into ``classes``.
        boxes: float64 ``[N, 4]``, x y width height in pixels.
        areas: float64 ``[N]``, square pixels; decides the size bin, and need not be width x height.
        crowd: bool ``[N]``, regions to ignore.
    """

    image_ids: tuple[int | str, ...]
    classes: tuple[str, ...]
    images: NDArray[np.int64]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]


@dataclass(frozen=True)
class DetectionTable:
    """M detections, in the order in which equal scores rank.

    Attributes:
        images: int64 ``[M]``, indices into :attr:`TruthTable.image_ids`.
        labels: int64 ``[M]``, indices into :attr:`TruthTable.classes`.
        boxes: float64 ``[M, 4]``, x y width height in pixels.
        scores: float64 ``[M]``.
    """

    images: NDArray[np.int64]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Names:
    """What the entries of a detection file may call an image or a class, and the index it stands for."""

    image_ids: Mapping[Any, int]
    file_names: Mapping[Any, int]
    category_ids: Mapping[Any, int]
    classes: Mapping[Any, int]
    source: str


def corners(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """From x y width height of a table to x1 y1 x2 y2, ``[..., 4]``."""
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def truth_table(truth: AnnotatedSet) -> TruthTable:
    """Lay the boxes of a data set out as columns.

    A region to ignore for every class (:data:`~srtod.data.records.ANY_CLASS`) becomes one crowd region a
    class. The area of a box is what its annotation says (COCO: of the segmentation), else width x height.
    """
    records = [truth.records[i] for i in ascending([record.image_id for record in truth.records])]
    images = np.repeat(np.arange(len(records)), [len(record.boxes) for record in records]).astype(np.int64)
    boxes = np.concatenate([np.zeros((0, 4)), *(record.boxes.reshape(-1, 4) for record in records)])
    # Rounding undoes that of x1 + width - x1: an object of 8 x 8 pixels stays on the border of its two bins.
    boxes[:, 2:] = np.round(boxes[:, 2:] - boxes[:, :2], 9)
    labels = np.concatenate([np.zeros(0, np.int64), *(record.labels for record in records)])
    crowd = np.concatenate([np.zeros(0, bool), *(record.ignore for record in records)])
    areas = np.where(np.isnan(said := _said_areas(records)), boxes[:, 2] * boxes[:, 3], said)

    times = np.where(labels == ANY_CLASS, len(truth.classes), 1)
    rows = np.repeat(np.arange(len(labels)), times)
    copy_number = np.arange(len(rows)) - np.repeat(np.cumsum(times) - times, times)
    labels = np.where(labels[rows] == ANY_CLASS, copy_number, labels[rows])
    image_ids = tuple(record.image_id for record in records)
    return TruthTable(image_ids, truth.classes, images[rows], labels, boxes[rows], areas[rows], crowd[rows])


def table_of_file(file: CocoFile, skipped: list[str] | None = None) -> tuple[TruthTable, Names]:
    """Lay the boxes of a COCO file out as columns, as pycocotools reads them, and what results may call it.

    An annotation's ``area`` decides its size bin; where there is none, width x height does.

    Args:
        file: what it says.
        skipped: takes a line about annotations that are wrong, which then are left out.

    Raises:
        InputError: an entry is wrong in a way that matters here, a negative size or area among them.
    """
    annotations, boxes = file.annotations, file.boxes
    _refuse_negative(annotations, boxes)
    areas = boxes[:, 2] * boxes[:, 3]
    stating = np.array([item.get("area") is not None for item in annotations.items], dtype=bool)
    areas[stating] = annotations.take(stating).numbers("area")
    annotations.refuse(areas < 0, "area {} is negative", annotations.optional("area"))
    file.images.sound()
    kept = annotations.sound(skipped)
    order = ascending(file.image_ids)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    image_ids = tuple(image_id for row in order if (image_id := file.image_ids[row]) is not None)
    names = Names(
        image_ids={image_id: row for row, image_id in enumerate(image_ids)},
        file_names=_positions([file.images.items[row].get("file_name") for row in order]),
        category_ids={number: label for label, number in enumerate(file.category_ids)},
        classes={name: label for label, name in enumerate(file.classes)},
        source=str(file.path),
    )
    images, labels, crowd = place[file.image_of[kept]], file.labels[kept], file.crowd[kept]
    return TruthTable(image_ids, file.classes, images, labels, boxes[kept], areas[kept], crowd), names


def _positions(names: Sequence[Any]) -> dict[Any, int]:
    """Position of every name; :data:`SEVERAL` for one that is there more than once."""
    times = Counter(name for name in names if isinstance(name, str))
    return {name: SEVERAL if times[name] > 1 else row for row, name in enumerate(names) if name in times}


def _said_areas(records: Sequence[ImageRecord]) -> NDArray[np.float64]:
    """Areas the annotations state, ``[N]``; NaN where one states none."""
    nothing = float("nan")
    return np.array(
        [
            float(area) if isinstance(area := said.get("area"), int | float) else nothing
            for record in records
            for said in record.attributes or ({},) * len(record.boxes)
        ],
        dtype=np.float64,
    )


def names_of(truth: AnnotatedSet, table: TruthTable) -> Names:
    """Return how COCO results call the images and classes of a set: category_id is the label + 1."""
    index = {image_id: i for i, image_id in enumerate(table.image_ids)}
    return Names(
        image_ids=index,
        file_names={record.file_name: index[record.image_id] for record in truth.records},
        category_ids={label + 1: label for label in range(len(table.classes))},
        classes={name: label for label, name in enumerate(table.classes)},
        source=str(truth.source),
    )


def set_table(found: SetDetections, truth: AnnotatedSet) -> DetectionTable:
    """Lay detections of a data set out in the order of :func:`truth_table`."""
    order = ascending([record.image_id for record in truth.records])
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    boxes = found.boxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    return DetectionTable(place[found.images], found.labels, boxes, found.scores.astype(np.float64))


def detection_table(
    results: Any,
    names: Names,
    *,
    source: str,
    foreign: Counter[str] | None = None,
    skipped: list[str] | None = None,
) -> DetectionTable:
    """Lay COCO results out as columns.

    Args:
        results: list of dicts ``bbox`` (x y width height), ``score``, ``image_id`` or ``file_name``, and
            ``category_id`` or ``category_name``. Where an entry has both, the name decides: ids are private
            to the file they come from. Boxes of zero size are allowed (rounded ones are common); they
            match nothing.
        names: what they may refer to.
        source: file the results come from, for messages.
        foreign: counts detections of classes that the ground truth does not have, which then are left out,
            unless there are no others or a name is nearly one that it has.
        skipped: takes a line about detections that are wrong, which then are left out.

    Raises:
        InputError: not a list of such dicts, a number that is not finite, a negative size, or an unknown
            image or class.
    """
    if not isinstance(results, list):
        raise InputError(f"{source}: not COCO results: a list of detections is needed, not {_kind(results)}")
    entries = Entries(source, "detection", results)
    by_class = {"category_name": names.classes, "category_id": names.category_ids}
    labels = _either(entries, by_class, names.source)
    if foreign is not None and (labels == -1).any():
        entries = _of_known_classes(entries, labels == -1, names, foreign)
        labels = _either(entries, by_class, names.source)
    by_image = {"file_name": names.file_names, "image_id": names.image_ids}
    images, boxes = _either(entries, by_image, names.source), entries.boxes("bbox")
    scores = entries.numbers("score")
    _refuse_negative(entries, boxes)
    kept = entries.sound(skipped)
    return DetectionTable(images[kept], labels[kept], boxes[kept], scores[kept])


def _of_known_classes(
    entries: Entries, unknown: NDArray[np.bool_], names: Names, foreign: Counter[str]
) -> Entries:
    """Leave out and count those of ``unknown`` (``[M]``) that say a class which is not nearly one we know."""
    known = [name for name in names.classes if isinstance(name, str)]
    near: dict[Any, str] = {}
    others = np.zeros(len(unknown), dtype=bool)
    for row in np.flatnonzero(unknown).tolist():
        item = entries.items[row]
        key = "category_name" if "category_name" in item else "category_id"
        value = item.get(key)
        if is_id(value) and not near.setdefault(value, did_you_mean(str(value), known)):
            others[row] = True
            foreign[f"{key} {value!r}"] += 1
    if others.all():
        return entries
    for row in np.flatnonzero(others).tolist():
        del entries.wrong[row]
    return entries.take(~others)


def _refuse_negative(entries: Entries, boxes: NDArray[np.float64]) -> None:
    negative = (boxes[:, 2:] < 0).any(axis=1)
    if negative.any():
        entries.refuse(negative, "bbox {} has a negative width or height", entries.optional("bbox"))


def _either(entries: Entries, keys: Mapping[str, Mapping[Any, int]], source: str) -> NDArray[np.int64]:
    """Indices ``[M]`` of what entries refer to: by the first key, or where that is missing the second."""
    (name, by_name), (key, by_key) = keys.items()
    named = np.fromiter(map(contains, entries.items, repeat(name)), dtype=bool, count=len(entries.items))
    if not named.any():
        return entries.lookup(key, by_key, source)
    out = np.empty(len(named), dtype=np.int64)
    for which, rows, index in ((name, named, by_name), (key, ~named, by_key)):
        out[rows] = entries.take(rows).lookup(which, index, source)
    return out


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with the keys {', '.join(map(str, list(value)[:5])) or '(none)'}"
    return f"{value!r:.40}"
