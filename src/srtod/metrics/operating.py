"""Scores as decisions: what a threshold finds and what it costs, and which one to take."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from srtod.metrics.columns import DetectionTable, TruthTable
from srtod.metrics.matching import Judged, Mask, Rows, Values
from srtod.support.errors import InputError

RuleName = Literal["best-f1", "recall", "false-alarms"]


@dataclass(frozen=True)
class Rule:
    """What a threshold is chosen for.

    Attributes:
        name: the best F1, a recall, or a number of false alarms an image.
        value: the recall, or that number; of the best F1 none.
    """

    name: RuleName
    value: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """Read ``best-f1``, ``recall=R`` or ``false-alarms=N``.

        Raises:
            InputError: it is anything else, R is not in 0..1, or N is negative.
        """
        name, _, number = text.partition("=")
        known = next((own for own in get_args(RuleName) if own == name), None)
        try:
            value = float(number) if number else None
        except ValueError:
            known, value = None, None
        if known is None or (known == "best-f1") != (value is None):
            raise InputError(f"--calibrate {text}: use best-f1, recall=0.9 or false-alarms=1 (an image)")
        if value is not None and not 0 <= value <= (1 if known == "recall" else float("inf")):
            raise InputError(f"--calibrate {text}: a recall is 0 to 1, a number of false alarms at least 0")
        return cls(known, value)

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value:g}"


@dataclass(frozen=True)
class Sweep:
    """What every threshold comes to, from the strictest on.

    Attributes:
        scores: ``[S]``, descending, each once; the threshold keeps what scores as much.
        right: ``[S]``, how many detections found an object.
        wrong: ``[S]``, how many found nothing and should have.
        objects: how many there are to find.
    """

    scores: Values
    right: Rows
    wrong: Rows
    objects: int

    @classmethod
    def of(cls, scores: Values, hits: Mask, false_alarms: Mask, objects: int) -> "Sweep":
        """From columns ``[M]`` of detections, best first."""
        ends = np.flatnonzero(np.diff(scores, append=-1.0))  # of equal scores, all are kept or none
        right, wrong = (np.cumsum(own, dtype=np.int64) for own in (hits, false_alarms))
        return cls(scores[ends], right[ends], wrong[ends], objects)

    @property
    def recall(self) -> Values:
        """Share of the objects that are found, ``[S]``; NaN where there are none."""
        return self.right / self.objects if self.objects else np.full(len(self.right), np.nan)

    @property
    def precision(self) -> Values:
        """Share of the detections that are right, ``[S]``."""
        return self.right / np.maximum(self.right + self.wrong, 1)

    @property
    def f1(self) -> Values:
        """Harmonic mean of precision and recall, ``[S]``."""
        return 2 * self.right / np.maximum(self.right + self.wrong + self.objects, 1)

    def choose(self, rule: Rule, images: int) -> int:
        """How many of the scores a rule keeps.

        All where not even these reach the recall; none where nothing is right, so that no F1 is above 0.
        """
        if rule.name == "false-alarms":
            return int(np.searchsorted(self.wrong, (rule.value or 0.0) * images, side="right"))
        if rule.name == "recall":
            return min(int(np.searchsorted(self.recall, rule.value or 0.0)) + 1, len(self.scores))
        return int(self.f1.argmax()) + 1 if self.f1.any() else 0

    def threshold(self, kept: int) -> float:
        """A score that keeps the first ``kept``, half-way to the next: rounding does not matter."""
        edges = np.concatenate(([1.0], self.scores, [0.0]))
        return float(edges[kept : kept + 2].mean()) if kept else 1.0


@dataclass(frozen=True)
class Calibrated:
    """The threshold of one class, and what it comes to on the data that it was chosen on.

    Attributes:
        threshold: detections count from this score on; NaN where there are no objects to choose by.
        precision, recall: of it.
        false_alarms: an image.
        reached: whether the rule is kept; the best F1 is none where nothing is right.
    """

    threshold: float
    precision: float
    recall: float
    false_alarms: float
    reached: bool

    @property
    def known(self) -> bool:
        """Whether there were objects to choose by."""
        return not np.isnan(self.threshold)


def calibrate(truth: TruthTable, detections: DetectionTable, judged: Judged, rule: Rule) -> list[Calibrated]:
    """Choose a threshold for each class, in label order.

    Args:
        truth: the ground truth.
        detections: M of them, best first.
        judged: what they are, objects of all sizes to be found.
        rule: what to choose it for.
    """
    images = max(len(truth.image_ids), 1)
    chosen = []
    for label in range(len(truth.classes)):
        rows = detections.labels == label
        objects = int((judged.counting & (truth.labels == label)).sum())
        sweep = Sweep.of(detections.scores[rows], judged.hits[rows], judged.false_alarms[rows], objects)
        if not objects:
            chosen.append(Calibrated(float("nan"), float("nan"), float("nan"), float("nan"), reached=False))
            continue
        kept = sweep.choose(rule, images)
        right, wrong = (float(own[kept - 1]) if kept else 0.0 for own in (sweep.right, sweep.wrong))
        precision, recall = right / (right + wrong) if kept else float("nan"), right / objects
        least = {"best-f1": 1 / objects, "recall": rule.value or 0.0}.get(rule.name, 0.0)
        chosen.append(Calibrated(sweep.threshold(kept), precision, recall, wrong / images, recall >= least))
    return chosen


@dataclass(frozen=True)
class Reliability:
    """Whether scores are probabilities: ten bins of equal width.

    Attributes:
        scores: mean score of each bin, NaN where it is empty.
        precision: share of its detections that are right.
        counts: how many it has.
    """

    scores: Values
    precision: Values
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, scores: Values, hits: Mask, bins: int = 10) -> "Reliability":
        """From columns ``[M]`` of detections, right or wrong; the end bins hold scores beyond 0..1."""
        number = (scores * bins).astype(int).clip(0, bins - 1)
        counts = np.bincount(number, minlength=bins)
        sums = [np.bincount(number, own, minlength=bins) for own in (scores, hits * 1.0)]
        with np.errstate(invalid="ignore"):
            return cls(sums[0] / counts, sums[1] / counts, counts)

    @property
    def error(self) -> float:
        """Expected calibration error: by how much a score is off, on average; NaN without detections."""
        full = self.counts > 0
        if not full.any():
            return float("nan")
        return float(np.average(np.abs(self.scores - self.precision)[full], weights=self.counts[full]))


def plain_reliability(reliability: Reliability) -> dict[str, Any]:
    """As values of JSON: bins with detections, and the error."""
    columns = (reliability.scores, reliability.precision, reliability.counts)
    return {
        "error": None if np.isnan(reliability.error) else reliability.error,
        "bins": [
            {"mean_score": float(score), "precision": float(precision), "detections": int(count)}
            for score, precision, count in zip(*columns, strict=True)
            if count
        ],
    }
