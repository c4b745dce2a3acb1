"""Regions to ignore of any class, in formats where every region has a class (COCO, VOC)."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from srtod.data.records import ANY_CLASS, AnnotatedSet, ImageRecord


def expand_any_class(record: ImageRecord, num_classes: int) -> Iterator[tuple[int, int]]:
    """Yield (index of the box, label) for every box, and for a region of any class once a class."""
    for index, label in enumerate(record.labels.tolist()):
        if label == ANY_CLASS:
            yield from ((index, other) for other in range(num_classes))
        else:
            yield index, label


def collapse_any_class(annotated: AnnotatedSet) -> AnnotatedSet:
    """Undo :func:`expand_any_class`: a region ignored for every class becomes one region of any class.

    That is what it means, whoever wrote it. In a set of one class, every ignored region is one of any class.
    """
    records = tuple(_collapse(record, len(annotated.classes)) for record in annotated.records)
    return replace(annotated, records=records)


def _collapse(record: ImageRecord, num_classes: int) -> ImageRecord:
    if not record.ignore.any():
        return record
    by_box: dict[tuple[float, ...], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index in np.flatnonzero(record.ignore):
        by_box[tuple(record.boxes[index].tolist())][int(record.labels[index])].append(int(index))
    labels = record.labels.copy()
    dropped: list[int] = []
    for by_label in by_box.values():
        complete = min(len(by_label[label]) for label in range(num_classes))
        first, *others = (by_label[label][:complete] for label in range(num_classes))
        labels[first] = ANY_CLASS
        dropped += [index for indices in others for index in indices]
    kept = np.setdiff1d(np.arange(len(labels)), dropped)
    return replace(record, labels=labels).take(kept.tolist())
