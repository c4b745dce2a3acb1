"""How well the values of cells tell those of objects from the others, and what follows from their mask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srtod.data.records import AnnotatedSet
from srtod.metrics.aitod import evaluate
from srtod.results import SetDetections

SIZES: dict[str, tuple[float, float]] = {
    "all": (0.0, float("inf")),
    "very tiny": (0.0, 8.0),
    "tiny": (8.0, 16.0),
    "small": (16.0, 32.0),
    "medium": (32.0, float("inf")),
}
"""Square roots of areas in pixels, the upper end included (AI-TOD)."""

SHOWN = ("AP", "APvt", "APt")


@dataclass(frozen=True)
class Interval:
    """A value with the bounds between which 95 % of its bootstrap resamples lie; as text in percent."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"


@dataclass(frozen=True)
class Visibility:
    """What the maps of self-reconstruction show of the objects of a data set.

    Attributes:
        images, objects: how many were looked at.
        auc: of each map, for the objects of each size: the chance that a cell that such an object touches
            has a larger value than one that no object touches; 0.5 is chance, NaN where there are no objects.
        object_cells_set: share of the cells of objects that the mask sets.
        all_cells_set: share of all cells that it sets.
        interventions: metrics of the detector with other masks in place of its own, and under
            ``learned - NAME`` what its own is better by, image by image; empty where it reads no mask.
    """

    images: int
    objects: int
    auc: dict[str, dict[str, float]]
    object_cells_set: float
    all_cells_set: float
    interventions: dict[str, dict[str, Interval]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return ``AUC`` by map and size (None where there is none), ``shares`` and ``interventions``."""
        return {
            "images": self.images,
            "objects": self.objects,
            "AUC": {
                name: {size: None if np.isnan(value) else value for size, value in sizes.items()}
                for name, sizes in self.auc.items()
            },
            "shares": {"mask": {"object_cells": self.object_cells_set, "all_cells": self.all_cells_set}},
            "interventions": {
                name: {key: one.value for key, one in metrics.items()}
                | {"intervals": {key: [one.low, one.high] for key, one in metrics.items()}}
                for name, metrics in self.interventions.items()
            },
        }


def auc(objects: NDArray[np.floating[Any]], others: NDArray[np.floating[Any]]) -> float:
    """Area under the ROC curve: the share of pairs in which the object's value is larger, ties half.

    Args:
        objects: ``[N]``.
        others: ``[M]``.
    """
    if not len(objects) or not len(others):
        return float("nan")
    ordered = np.sort(others)
    below = np.searchsorted(ordered, objects, side="left") + np.searchsorted(ordered, objects, side="right")
    return float(below.mean() / (2 * len(others)))


def compared(
    truth: AnnotatedSet, found: Mapping[str, SetDetections], *, own: str, resamples: int, seed: int = 0
) -> dict[str, dict[str, Interval]]:
    """Evaluate several detections of one data set, with intervals from images drawn with replacement.

    All are evaluated on the same resamples, so that their differences have an interval of their own.

    Args:
        truth: the data set.
        found: detections of its images by name.
        own: the name of those that the others are compared with.
        resamples: how often images are drawn; 0 gives intervals of no width.
        seed: of what is drawn.
    """
    generator = np.random.default_rng(seed)
    count = len(truth.records)
    drawn = [np.arange(count), *(generator.integers(0, count, count) for _ in range(resamples))]
    scores = {
        name: np.array([_scores(truth, own, images) for images in drawn]) for name, own in found.items()
    }
    rows = {name: _intervals(values) for name, values in scores.items()}
    differences = {
        f"{own} - {name}": _intervals(scores[own] - values) for name, values in scores.items() if name != own
    }
    return rows | differences


def _scores(truth: AnnotatedSet, found: SetDetections, images: NDArray[np.int64]) -> list[float]:
    """The metrics that are :data:`SHOWN` of these images, as often as each is among them; NaN for none."""
    records = [replace(truth.records[index], image_id=place) for place, index in enumerate(images)]
    own = [found.of_image(int(index)) for index in images]
    places = np.repeat(np.arange(len(images)), [len(scores) for _, scores, _ in own])
    boxes, scores, labels = (np.concatenate(column) for column in zip(*own, strict=True))
    drawn = SetDetections(places, boxes, scores, labels)
    summary = evaluate(replace(truth, records=tuple(records)), drawn).summary
    return [summary[key] if summary[key] >= 0 else float("nan") for key in SHOWN]


def _intervals(values: NDArray[np.float64]) -> dict[str, Interval]:
    """Of ``[1 + resamples, metrics]``, the first row as values, the others as what they vary by."""
    others = values[1:] if len(values) > 1 else values
    shown: Sequence[int] = [column for column in range(len(SHOWN)) if not np.isnan(values[0, column])]
    return {
        SHOWN[column]: Interval(
            float(values[0, column]), *map(float, np.nanpercentile(others[:, column], [2.5, 97.5]))
        )
        for column in shown
    }
