"""Average precision from what each detection is, as pycocotools counts it, also with images weighted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srtod.metrics.columns import DetectionTable, TruthTable
from srtod.metrics.matching import Judged, Mask, Rows, Values

RECALLS: Values = np.linspace(0, 1, 101)
"""Where precision is read off."""


@dataclass(frozen=True)
class Ranked:
    """The detections of one class that count, best first, down to the last that found something.

    Attributes:
        hits: int64 ``[h]``, places of those that found something; precision is highest at these.
        images: int64 ``[m]``.
        objects: int64 ``[n]``, the image of each object that is to be found.
    """

    hits: Rows
    images: Rows
    objects: Rows

    def precision(self, weights: NDArray[np.int64] | None = None) -> Values:
        """The best precision at each of :data:`RECALLS` or beyond; NaN where there is nothing to find.

        Args:
            weights: ``[images]``, how often each image is there; None for once.
        """
        times = np.ones(len(self.images)) if weights is None else weights[self.images]
        objects = len(self.objects) if weights is None else weights[self.objects].sum()
        if not objects:
            return np.full(len(RECALLS), np.nan)
        right, found = np.cumsum(times[self.hits]), np.cumsum(times)[self.hits]
        precision = right / (found + np.spacing(1))
        best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
        return best[np.searchsorted(right / objects, RECALLS, side="left")]


def ranked(truth: TruthTable, detections: DetectionTable, judged: Judged) -> list[Ranked]:
    """What each class comes to, in label order."""
    return of_hits(detections.labels, detections.images, judged.hits, judged.ignored, truth, judged.counting)


def of_hits(
    labels: Rows, images: Rows, hits: Mask, left_out: Mask, truth: TruthTable, counting: Mask
) -> list[Ranked]:
    """The same from columns of detections ``[M]``, best first, and of the objects that count, ``[N]``."""
    classes = []
    for label in range(len(truth.classes)):
        rows = np.flatnonzero((labels == label) & ~left_out)
        places = np.flatnonzero(hits[rows])
        rows = rows[: int(places[-1]) + 1 if len(places) else 0]
        classes.append(Ranked(places, images[rows], truth.images[counting & (truth.labels == label)]))
    return classes


def average_precision(classes: list[Ranked], weights: NDArray[np.int64] | None = None) -> float:
    """Mean over the classes with something to find; NaN where no class has."""
    values = [float(own.precision(weights).mean()) for own in classes]
    present = [value for value in values if not np.isnan(value)]
    return float(np.mean(present)) if present else float("nan")
