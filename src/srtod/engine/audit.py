"""An audit of labels: what a detector contradicts, ranked, as JSON, pictures and a set to correct."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srtod.data.conversion import write_sets
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.defaults import DETECTIONS_PER_IMAGE
from srtod.engine.evaluate import detect_common
from srtod.metrics.aitod import Tables, tables_of_set
from srtod.metrics.columns import corners
from srtod.metrics.suspicion import SUSPICIONS, Suspicion, Suspicions, suspect
from srtod.plots.marks import join
from srtod.plots.mistakes import Mistakes
from srtod.support.errors import InputError
from srtod.support.files import write_json
from srtod.support.progress import say
from srtod.types import Finder

NUMBERS, SHEET, LABELS = "audit.json", "sheet.png", "labels"
SHOWN, COLUMNS = 48, 8
"""Places of the contact sheet, and how many stand beside each other."""


@dataclass(frozen=True)
class Doubt:
    """One label that is likely wrong.

    Attributes:
        rank: from 1 on.
        kind: what is wrong with it.
        confidence: that it is, 0..1.
        record: its image.
        box: of what was found, x1 y1 x2 y2 in pixels.
        name: class of what was found.
        label: row of the label among the image's boxes; None where it is missing.
    """

    rank: int
    kind: Suspicion
    confidence: float
    record: ImageRecord
    box: NDArray[np.float64]
    name: str
    label: int | None

    def to_json(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """As plain values."""
        own = {} if self.label is None else _label(self.record, self.label, classes)
        return {
            "rank": self.rank,
            "kind": self.kind,
            "confidence": round(self.confidence, 4),
            "image_id": self.record.image_id,
            "file_name": self.record.file_name,
            "found": {"class": self.name, "box": self.box.round(2).tolist()},
            "label": own or None,
        }


def audit(
    finder: Finder, annotated: AnnotatedSet, *, batch_size: int, least: float
) -> tuple[AnnotatedSet, list[Doubt]]:
    """Rank the labels of a data set that a detector contradicts.

    See :func:`~srtod.metrics.suspicion.suspect`.

    Args:
        finder: what finds; see :func:`~srtod.engine.evaluate.detect`, as ``batch_size``.
        annotated: the data set, best one that the detector has not learned from.
        batch_size: images a forward pass.
        least: confidence from which on a label is in doubt.

    Returns:
        The data set as far as the detector knows its classes, and the doubts about it.

    Raises:
        InputError: as :func:`~srtod.engine.evaluate.detect`.
    """
    annotated, found = detect_common(finder, annotated, batch_size=batch_size)
    tables = tables_of_set(annotated, found)
    suspicions = suspect(tables.truth, tables.found, detections_per_image=DETECTIONS_PER_IMAGE)
    doubts = _doubts(annotated, tables, suspicions)
    return annotated, [doubt for doubt in doubts if doubt.confidence >= least]


def _doubts(annotated: AnnotatedSet, tables: Tables, suspicions: Suspicions) -> Iterator[Doubt]:
    records = {record.image_id: record for record in annotated.records}
    truth, detections = tables.truth, suspicions.detections
    for rank, (row, thing) in enumerate(zip(suspicions.rows, suspicions.objects, strict=True), start=1):
        record = records[truth.image_ids[detections.images[row]]]
        yield Doubt(
            rank=rank,
            kind=SUSPICIONS[suspicions.kinds[rank - 1]],
            confidence=float(suspicions.confidence[rank - 1]),
            record=record,
            box=corners(detections.boxes[row]),
            name=truth.classes[detections.labels[row]],
            label=None if thing < 0 else _row(record, corners(truth.boxes[thing]), truth.labels[thing]),
        )


def write_audit(folder: Path, doubts: list[Doubt], annotated: AnnotatedSet) -> None:
    """Write ``audit.json``, ``sheet.png`` and ``labels/``, a COCO set to correct, into an empty folder.

    In ``labels`` a label in doubt has the keys ``audit`` and ``audit_confidence``, and what has no label is
    an annotation of its own.

    Raises:
        InputError: the folder cannot be written to.
    """
    told = [doubt.to_json(annotated.classes) for doubt in doubts]
    write_json(folder / NUMBERS, {"source": str(annotated.source), "doubts": told}, indent=1)
    if tiles := [tile for doubt in doubts[:SHOWN] if (tile := _tile(doubt, annotated.classes))]:
        lines = [tiles[start : start + COLUMNS] for start in range(0, len(tiles), COLUMNS)]
        join([join(line, gap=4, down=False) for line in lines], gap=4, down=True).save(folder / SHEET)
    write_sets([_corrected(annotated, doubts)], folder / LABELS, "coco", link=False, progress=True)


def _corrected(annotated: AnnotatedSet, doubts: list[Doubt]) -> AnnotatedSet:
    own: dict[int | str, list[Doubt]] = {}
    for doubt in doubts:
        own.setdefault(doubt.record.image_id, []).append(doubt)
    known = (int(record.annotation_ids.max(initial=0)) for record in annotated.records)
    fresh = count(max(known, default=0) + 1)
    records = tuple(
        _marked(record, own.get(record.image_id, []), annotated.classes, fresh)
        for record in annotated.records
    )
    return replace(annotated, records=records)


def _marked(
    record: ImageRecord, doubts: list[Doubt], classes: tuple[str, ...], fresh: Iterator[int]
) -> ImageRecord:
    """An image with what is in doubt told in attributes, and what has no label added under fresh ids."""
    attributes = [dict(values) for values in record.attributes]
    added = [doubt for doubt in doubts if doubt.label is None]
    for doubt in doubts:
        mark = {"audit": doubt.kind, "audit_confidence": round(doubt.confidence, 4)}
        if doubt.label is None:
            attributes.append(mark)
        else:
            attributes[doubt.label] |= mark
    return replace(
        record,
        boxes=np.concatenate([record.boxes, *(doubt.box[None] for doubt in added)]),
        labels=np.append(record.labels, [classes.index(doubt.name) for doubt in added]).astype(np.int64),
        ignore=np.append(record.ignore, np.zeros(len(added), dtype=bool)),
        annotation_ids=np.append(record.annotation_ids, [next(fresh) for _ in added]).astype(np.int64),
        attributes=tuple(attributes),
    )


def _tile(doubt: Doubt, classes: tuple[str, ...]) -> Image.Image | None:
    """The place enlarged: the label as white corners, what was found as a frame; None if unreadable."""
    try:
        pixels = doubt.record.read()
    except InputError as error:
        say(str(error))
        return None
    rows = [] if doubt.label is None else [doubt.label]
    return Mistakes(
        pixels,
        missed=doubt.record.boxes[rows],
        boxes=doubt.box[None],
        scores=np.array([doubt.confidence]),
        labels=np.array([classes.index(doubt.name)]),
        classes=classes,
    ).draw_place(doubt.box)


def _label(record: ImageRecord, row: int, classes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "annotation_id": int(record.annotation_ids[row]),
        "class": classes[record.labels[row]],
        "box": record.boxes[row].round(2).tolist(),
    }


def _row(record: ImageRecord, box: NDArray[np.float64], label: int) -> int:
    """Which of an image's boxes it is."""
    off = np.abs(record.boxes - box).sum(axis=1) + np.where(record.labels == label, 0, np.inf)
    return int(off.argmin())
