"""What is behind the metrics: curves, errors and thresholds by size, and what is wrong in which image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srtod.metrics.aitod import SIZES
from srtod.metrics.columns import DetectionTable, TruthTable
from srtod.metrics.comparison import Interval
from srtod.metrics.errors import NEAR, RIGHT, Errors, confusion, errors_of_size, plain, sort_errors
from srtod.metrics.matching import Judged, Mask, Pairs, Rows, Values, best_first, judge, near_pairs
from srtod.metrics.operating import Calibrated, Reliability, Rule, Sweep, calibrate, plain_reliability
from srtod.metrics.precision import average_precision, ranked

REACH = 3.0
"""Pixels between the centres up to which a box is right by distance, usual for small infrared targets."""

GROUPS = {"all": SIZES["all"], "2 to 6 px": (2.0, 6.0), **SIZES}
"""AI-TOD's sizes, and that of the objects whose overlap one pixel halves."""

EDGES = (0, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 1e5)
"""Of the bins of object size, square roots of the area in pixels."""

RATES = (0.1, 0.3, 1.0, 3.0, 10.0)
"""False alarms an image at which the recall is told."""

_POINTS = 100
"""Of a curve in JSON, at most."""


@dataclass(frozen=True)
class OfSize:
    """Figures of the objects of one size, and of the detections that are about them; IoU 0.5.

    Attributes:
        objects: how many there are.
        precision: at recalls of 0 to 1 in steps of 0.01, mean over the classes; its own mean is AP50.
        sweep: what every threshold comes to.
        alarms: the same, but with the false alarms of all sizes.
        errors: what AP50 is lost to.
        ap_by_distance: average precision where a box is right whose centre is :data:`REACH` away at most.
    """

    objects: int
    precision: Values
    sweep: Sweep
    alarms: Sweep
    errors: Errors
    ap_by_distance: float

    def recall_at(self, rate: float, images: int) -> float:
        """The recall at so many false alarms an image, of any size; NaN without objects."""
        if not self.objects:
            return float("nan")
        kept = int(np.searchsorted(self.alarms.wrong, rate * images, side="right"))
        return float(self.alarms.recall[kept - 1]) if kept else 0.0

    @property
    def best_f1(self) -> dict[str, float] | None:
        """The best ``f1``, its ``score``, ``precision`` and ``recall``; None without any to have."""
        if not self.objects or not len(self.sweep.scores):
            return None
        return self._points(np.array([self.sweep.f1.argmax()]))[0]

    def _points(self, rows: Rows) -> list[dict[str, float]]:
        """What some thresholds come to."""
        sweep = self.sweep
        columns = {
            "score": sweep.scores,
            "precision": sweep.precision,
            "recall": sweep.recall,
            "f1": sweep.f1,
        }
        values = zip(*(column[rows].tolist() for column in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in values]

    def to_json(self, images: int) -> dict[str, Any]:
        """All figures, curves in at most 100 points."""
        count = len(self.sweep.scores) if self.objects else 0
        rows = np.unique(np.linspace(0, max(count - 1, 0), _POINTS).astype(int))[:count]
        return {
            "objects": self.objects,
            **plain(self.errors),
            "AP_by_distance": _known(self.ap_by_distance),
            "best_f1": self.best_f1,
            "recall_at_false_alarms_per_image": {
                f"{rate:g}": _known(self.recall_at(rate, images)) for rate in RATES
            },
            "precision_at_recall": [_known(value) for value in self.precision.tolist()],
            "by_threshold": self._points(rows),
        }


@dataclass(frozen=True)
class Analysis:
    """Everything of one evaluation; columns of detections ``[M]`` are best first.

    Attributes:
        truth, detections: what was compared.
        sizes: figures by size, the names of :data:`GROUPS`.
        thresholds: ``[K]``, the score of each class from which on detections count below.
        rule: what these were chosen for.
        recall_by_pixels: recall by bin of size between :data:`EDGES`, of what counts; None without objects.
        reliability: whether the scores are probabilities.
        confusion: ``[K + 1, K + 1]``, see :func:`~srtod.metrics.errors.confusion`.
        false_alarms: bool ``[M]``, detections that count and found nothing.
        missed: bool ``[N]``, objects that no detection found that counts.
    """

    truth: TruthTable
    detections: DetectionTable
    sizes: dict[str, OfSize]
    thresholds: tuple[float, ...]
    rule: str
    recall_by_pixels: list[tuple[int, Interval] | None]
    reliability: Reliability
    confusion: NDArray[np.int64]
    false_alarms: Mask
    missed: Mask

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.truth.image_ids)

    def worst(self, count: int) -> list[int]:
        """The images with most misses and false alarms, the worst first, at most so many."""
        wrong = np.bincount(self.truth.images[self.missed], minlength=self.images)
        wrong += np.bincount(self.detections.images[self.false_alarms], minlength=self.images)
        return [row for row in np.argsort(-wrong, kind="stable")[:count].tolist() if wrong[row]]

    def errors_in(self, image: int) -> tuple[int, int]:
        """How many misses and false alarms an image has."""
        misses = int((self.missed & (self.truth.images == image)).sum())
        return misses, int((self.false_alarms & (self.detections.images == image)).sum())

    def to_json(self) -> dict[str, Any]:
        """Everything but the tables."""
        bins = zip(EDGES, EDGES[1:], self.recall_by_pixels, strict=False)
        return {
            "operating_point": {
                "rule": self.rule,
                "thresholds": dict(zip(self.truth.classes, self.thresholds, strict=True)),
                "false_alarms_per_image": float(self.false_alarms.sum() / max(self.images, 1)),
                "missed": int(self.missed.sum()),
            },
            "by_size": {name: own.to_json(self.images) for name, own in self.sizes.items()},
            "recall_by_pixels": [
                {"from": low, "to": high, "objects": own[0], "recall": own[1].value}
                | {"interval": [own[1].low, own[1].high]}
                for low, high, own in bins
                if own is not None
            ],
            "calibration": plain_reliability(self.reliability),
            "confusion": {"classes": [*self.truth.classes, "nothing"], "counts": self.confusion.tolist()},
            "worst_images": [
                {"image_id": self.truth.image_ids[row]}
                | dict(zip(("missed", "false_alarms"), self.errors_in(row), strict=True))
                for row in self.worst(20)
            ],
        }


def analyse(
    truth: TruthTable,
    found: DetectionTable,
    *,
    detections_per_image: int,
    thresholds: Sequence[float] | None = None,
    rule: str = "",
) -> Analysis:
    """Look behind the metrics of detections.

    Args:
        truth: N objects.
        found: the detections.
        detections_per_image: best detections of a class that count in an image.
        thresholds: ``[K]``, the scores from which on detections count; None takes those of the best F1.
        rule: what these were chosen for.
    """
    detections = best_first(found, detections_per_image)
    near = near_pairs(truth, detections, overlap=NEAR, reach=REACH)
    overlapping, close = near.where(near.iou >= NEAR), near.where(near.distance <= REACH)
    right = near.where(near.iou >= RIGHT)
    every = judge(truth, detections, right, right.iou, areas=_areas("all"))
    if thresholds is None:
        rule = "best-f1"
        chosen = calibrate(truth, detections, every, Rule(rule))
        thresholds = [own.threshold if own.reached else 0.0 for own in chosen]
    shown = detections.scores >= np.array(thresholds)[detections.labels]
    missed = every.missed(shown)
    judged = ~every.ignored
    return Analysis(
        truth=truth,
        detections=detections,
        sizes=_by_size(truth, detections, every, {"near": overlapping, "right": right, "close": close}),
        thresholds=tuple(thresholds),
        rule=rule,
        recall_by_pixels=_recall_by_pixels(truth, every.counting, missed),
        reliability=Reliability.of(detections.scores[judged], every.hits[judged]),
        confusion=confusion(truth, detections, right, shown),
        false_alarms=every.false_alarms & shown,
        missed=missed,
    )


def calibrated(
    truth: TruthTable, found: DetectionTable, rule: Rule, *, detections_per_image: int
) -> dict[str, Calibrated]:
    """Choose a threshold for each class by what detections are at an IoU of 0.5.

    Args:
        truth: the objects.
        found: the detections.
        rule: what to choose it for.
        detections_per_image: best detections of a class that count in an image.
    """
    detections = best_first(found, detections_per_image)
    right = near_pairs(truth, detections, overlap=RIGHT, reach=-1.0)
    judged = judge(truth, detections, right, right.iou, areas=_areas("all"))
    return dict(zip(truth.classes, calibrate(truth, detections, judged, rule), strict=True))


def _areas(name: str) -> tuple[float, float]:
    low, high = GROUPS[name]
    return low**2, high**2


def _by_size(
    truth: TruthTable, detections: DetectionTable, every: Judged, pairs: dict[str, Pairs]
) -> dict[str, OfSize]:
    """Figures of each size; ``pairs`` are those that overlap, that do so enough, and that are close."""
    errors, right, close = (
        sort_errors(truth, detections, pairs["near"], every),
        pairs["right"],
        pairs["close"],
    )
    sizes = {}
    for name in GROUPS:
        areas = _areas(name)
        own = judge(truth, detections, right, right.iou, areas=areas)
        by_distance = judge(truth, detections, close, -close.distance, areas=areas)
        objects = int(own.counting.sum())
        about = every.hits & np.append(own.counting, False)[every.found]
        classes = [ranking.precision() for ranking in ranked(truth, detections, own)]
        known = [values for values in classes if not np.isnan(values[0])]
        sizes[name] = OfSize(
            objects=objects,
            precision=np.mean(known, axis=0) if known else np.full(101, np.nan),
            sweep=Sweep.of(detections.scores, own.hits, own.false_alarms, objects),
            alarms=Sweep.of(detections.scores, about, every.false_alarms, objects),
            errors=errors_of_size(truth, detections, pairs["near"], errors, areas),
            ap_by_distance=average_precision(ranked(truth, detections, by_distance)),
        )
    return sizes


def _recall_by_pixels(truth: TruthTable, counting: Mask, missed: Mask) -> list[tuple[int, Interval] | None]:
    """Objects and recall of each bin of size."""
    number = np.searchsorted(EDGES, np.sqrt(truth.areas), side="left").clip(1) - 1
    there, found = (
        np.bincount(number[mask], minlength=len(EDGES) - 1).tolist()
        for mask in (counting, counting & ~missed)
    )
    return [
        (count, Interval.of_share(own, count)) if count else None
        for own, count in zip(found, there, strict=True)
    ]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
