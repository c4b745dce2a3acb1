"""How sure a number is, and a difference of two: images drawn with replacement, the same for both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from srtod.defaults import DETECTIONS_PER_IMAGE
from srtod.metrics.aitod import AREA_RANGES
from srtod.metrics.columns import DetectionTable, TruthTable
from srtod.metrics.matching import best_first, judge, near_pairs
from srtod.metrics.precision import average_precision, ranked

IOUS = np.linspace(0.5, 0.95, 10)
_MEANS = {"AP50": ("AP", slice(0, 1)), "AP75": ("AP", slice(5, 6))}
"""The metrics that are means over other overlaps than all ten, or over other objects than their name says."""


@dataclass(frozen=True)
class Interval:
    """A value with the bounds between which it lies with 95 % confidence; as text in percent."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> "Interval":
        """Bootstrap: from ``[1 + resamples]``, the value itself first."""
        others = values[1:] if len(values) > 1 else values
        return cls(float(values[0]), *map(float, np.nanpercentile(others, [2.5, 97.5])))

    @classmethod
    def of_share(cls, part: int, count: int) -> "Interval":
        """A share of independent trials, after Wilson (1927): not of no width where it is 0 or 1."""
        share, z = part / count, 1.96
        middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
        half = z / (1 + z**2 / count) * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
        return cls(share, max(0.0, middle - half), min(1.0, middle + half))


def resampled(images: int, resamples: int, seed: int = 0) -> list[NDArray[np.int64]]:
    """How often each of so many images is there: once first, then as drawn with replacement, ``[images]``."""
    generator = np.random.default_rng(seed)
    drawn = (np.bincount(generator.integers(0, images, images), minlength=images) for _ in range(resamples))
    return [np.ones(images, np.int64), *(drawn if images else ())]


def compared(
    truth: TruthTable,
    found: Mapping[str, DetectionTable],
    *,
    own: str,
    metrics: Sequence[str],
    resamples: int,
    detections_per_image: int = DETECTIONS_PER_IMAGE,
    seed: int = 0,
) -> dict[str, dict[str, Interval]]:
    """Evaluate several detections of one data set, with intervals from images drawn with replacement.

    All are evaluated on the same resamples, so that their differences have an interval of their own.

    Args:
        truth: the ground truth.
        found: detections of its images by name.
        own: the name of those that the others are compared with.
        metrics: names such as ``AP``; those of sizes without objects are left out.
        resamples: how often images are drawn; 0 gives intervals of no width.
        detections_per_image: best detections of a class that count in an image.
        seed: of what is drawn.

    Returns:
        The metrics by name, and of each other one under ``OWN - OTHER`` what it is better by.
    """
    drawn = resampled(len(truth.image_ids), resamples, seed)
    scores = {
        name: _scores(truth, best_first(table, detections_per_image), metrics, drawn)
        for name, table in found.items()
    }
    differences = {
        f"{own} - {name}": {key: scores[own][key] - values for key, values in others.items()}
        for name, others in scores.items()
        if name != own
    }
    return {
        name: {key: Interval.of(values) for key, values in rows.items() if not np.isnan(values[0])}
        for name, rows in (scores | differences).items()
    }


def _scores(
    truth: TruthTable, detections: DetectionTable, metrics: Sequence[str], drawn: Sequence[NDArray[np.int64]]
) -> dict[str, NDArray[np.float64]]:
    """Each metric on each resample, ``[1 + resamples]``; NaN where it has no objects. Best come first."""
    pairs = near_pairs(truth, detections, overlap=float(IOUS[0]), reach=-1.0)

    @cache
    def at(areas: str, overlap: float) -> NDArray[np.float64]:
        near = pairs.iou >= overlap
        judged = judge(truth, detections, pairs.where(near), pairs.iou[near], areas=AREA_RANGES[areas])
        classes = ranked(truth, detections, judged)
        return np.array([average_precision(classes, weights) for weights in drawn])

    means = {key: _MEANS.get(key, (key, slice(None))) for key in metrics}
    return {
        key: np.mean([at(areas, overlap) for overlap in IOUS[overlaps].tolist()], axis=0)
        for key, (areas, overlaps) in means.items()
    }
