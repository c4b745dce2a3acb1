"""How well the values of cells tell those of objects from the others, and what follows from their mask."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srtod.metrics.comparison import Interval

SHOWN = ("AP", "APvt", "APt")


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
