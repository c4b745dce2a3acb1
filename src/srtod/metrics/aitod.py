"""AI-TOD metrics: COCO's average precision with size bins for tiny objects."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srtod.data.formats.coco_json import collector_paused, read_coco
from srtod.data.records import AnnotatedSet
from srtod.defaults import DETECTIONS_PER_IMAGE, METRICS
from srtod.metrics.columns import (
    DetectionTable,
    Names,
    TruthTable,
    detection_table,
    names_of,
    set_table,
    table_of_file,
    truth_table,
)
from srtod.metrics.evaluator import precision_recall
from srtod.metrics.matching import near_pairs
from srtod.results import SetDetections
from srtod.support.errors import InputError
from srtod.support.files import read_json

SIZES: dict[str, tuple[float, float]] = {
    "all": (0.0, 1e5),
    "very tiny": (0.0, 8.0),
    "tiny": (8.0, 16.0),
    "small": (16.0, 32.0),
    "medium": (32.0, 1e5),
}
"""Square roots of areas in pixels, both ends included; 1e5 is COCO's infinity."""

AREA_RANGES: dict[str, tuple[float, float]] = {
    key: (low**2, high**2)
    for key, (low, high) in zip(("AP", "APvt", "APt", "APs", "APm"), SIZES.values(), strict=True)
}
"""Areas in square pixels, both ends included."""


@dataclass(frozen=True)
class Metrics:
    """AI-TOD metrics as fractions of 1; -1 where there is no ground truth to find, as in pycocotools.

    Attributes:
        summary: ``AP`` over IoU 0.50:0.95, ``AP50``, ``AP75``; ``APvt``, ``APt``, ``APs``, ``APm`` of objects
            of at most 8^2, 16^2, 32^2 and of more square pixels; ``AR``, the largest recall over IoU
            0.50:0.95. Means over the classes with ground truth.
        per_class: the same of each class.
        images: how many images were looked at.
        detections_per_image: how many detections of a class were looked at in an image, at most.
        notes: what was left out, a line each.
    """

    summary: dict[str, float]
    per_class: dict[str, dict[str, float]]
    images: int
    detections_per_image: int
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the summary's keys, ``per_class``, ``images`` and ``detections_per_image`` in one object."""
        return {
            **self.summary,
            "per_class": self.per_class,
            "images": self.images,
            "detections_per_image": self.detections_per_image,
        }


def evaluate(
    truth: AnnotatedSet,
    found: SetDetections | list[dict[str, Any]],
    *,
    detections_per_image: int = DETECTIONS_PER_IMAGE,
) -> Metrics:
    """Evaluate detections on a data set.

    Args:
        truth: the data set. Regions to ignore are COCO crowd regions; one that holds for every class is a
            crowd region of each.
        found: detections of the set's images; or COCO results: dicts ``image_id`` (or ``file_name``),
            ``category_id`` (label + 1; or ``category_name``), ``bbox`` (x y width height in pixels) and
            ``score``.
        detections_per_image: best detections of a class that count in an image.

    Raises:
        InputError: a result that is not sound, or about an image or class the set does not have.
    """
    table = truth_table(truth)
    if isinstance(found, SetDetections):
        detections = set_table(found, truth)
    else:
        detections = detection_table(found, names_of(truth, table), source="results")
    return evaluate_tables(table, detections, detections_per_image=detections_per_image)


def evaluate_files(
    annotations: Path,
    detections: Path,
    *,
    detections_per_image: int = DETECTIONS_PER_IMAGE,
    skip_bad: bool = False,
) -> Metrics:
    """Evaluate a COCO results file on a COCO annotation file, as pycocotools does.

    Args:
        annotations: COCO JSON; image files, sizes of images and ids of annotations are not needed.
        detections: a list of ``image_id``, ``category_id``, ``bbox``, ``score``. ``file_name`` and
            ``category_name``, where given, stand above the ids, so that results of a program that numbers
            images and classes by itself can be evaluated.
        detections_per_image: best detections of a class that count in an image.
        skip_bad: leave annotations and detections out that are wrong, and say so in the notes.

    Raises:
        InputError: a file that cannot be read or holds something else; an entry that lacks a key or has a
            number that is not finite, a box of negative size, or an id that stands for nothing. Names the
            file and the position in its list.
    """
    given = tables_of_files(annotations, detections, skip_bad=skip_bad)
    metrics = evaluate_tables(given.truth, given.found, detections_per_image=detections_per_image)
    return replace(metrics, notes=given.notes)


@dataclass(frozen=True)
class Tables:
    """Ground truth and detections to compare, what further detections may call things, and what to tell."""

    truth: TruthTable
    found: DetectionTable
    names: Names
    notes: tuple[str, ...] = ()

    def other(self, detections: Path) -> DetectionTable:
        """Read other detections of the same images, COCO results.

        Raises:
            InputError: as :func:`evaluate_files`.
        """
        return detection_table(read_json(detections), self.names, source=str(detections))


@collector_paused()
def tables_of_files(annotations: Path, detections: Path, *, skip_bad: bool = False) -> Tables:
    """Read what :func:`evaluate_files` compares; arguments and errors are the same."""
    skipped: list[str] | None = [] if skip_bad else None
    truth, names = table_of_file(read_coco(annotations), skipped)
    foreign: Counter[str] = Counter()
    results = read_json(detections)
    found = detection_table(results, names, source=str(detections), foreign=foreign, skipped=skipped)
    notes = [
        f"{detections}: left out {count:,} of {what}: there is no such class in {annotations}"
        for what, count in foreign.items()
    ]
    if form := _other_form(truth, found):
        notes.append(f"{detections}: its boxes look like {form}; COCO results are x y width height in pixels")
    return Tables(truth, found, names, (*(skipped or ()), *notes))


def _other_form(truth: TruthTable, found: DetectionTable) -> str | None:
    """What boxes seem to be, where they are not what they should be; told by the first thousand."""
    some = DetectionTable(found.images[:1000], found.labels[:1000], found.boxes[:1000], found.scores[:1000])
    boxes = some.boxes
    if not len(boxes) or not len(truth.boxes):
        return None
    if boxes.max() <= 1 < truth.boxes.max():
        return "shares of the image"
    if (boxes[:, 2:] < boxes[:, :2]).any():
        return None
    corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    as_read, as_corners = (
        len(near_pairs(truth, replace(some, boxes=own), overlap=0.5, reach=-1.0).iou)
        for own in (boxes, corners)
    )
    return "x1 y1 x2 y2" if as_corners > 10 * as_read else None


def tables_of_set(truth: AnnotatedSet, found: SetDetections) -> Tables:
    """Lay out what was found in the images of a data set."""
    table = truth_table(truth)
    return Tables(table, set_table(found, truth), names_of(truth, table))


def evaluate_tables(truth: TruthTable, detections: DetectionTable, *, detections_per_image: int) -> Metrics:
    """Evaluate detections on ground truth, both as columns.

    Raises:
        InputError: ``detections_per_image`` is less than 1.
    """
    if detections_per_image < 1:
        raise InputError(f"detections per image: {detections_per_image} is too few; give 1 or more")
    precision, recall = precision_recall(
        truth,
        detections,
        area_ranges=tuple(AREA_RANGES.values()),
        detections_per_image=detections_per_image,
    )
    each = range(len(truth.classes))
    return Metrics(
        summary=_summary(precision, recall),
        per_class={truth.classes[k]: _summary(precision[:, :, [k]], recall[:, [k]]) for k in each},
        images=len(truth.image_ids),
        detections_per_image=detections_per_image,
    )


def _summary(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> dict[str, float]:
    """Means of precision ``[10, 101, K, A]`` and recall ``[10, K, A]`` over all that is not -1."""
    values = {key: _mean(precision[..., a]) for a, key in enumerate(AREA_RANGES)}
    values |= {
        "AP50": _mean(precision[0, ..., 0]),
        "AP75": _mean(precision[5, ..., 0]),
        "AR": _mean(recall[..., 0]),
    }
    return {key: values[key] for key in METRICS}


def _mean(values: NDArray[np.float64]) -> float:
    present = values[values > -1]
    return float(present.mean()) if present.size else -1.0
