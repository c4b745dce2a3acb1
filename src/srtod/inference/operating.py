"""The scores from which on detections count: those that weights were calibrated for, by class."""

from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from srtod.detectors.config import OperatingPoint
from srtod.support.errors import InputError
from srtod.support.progress import say
from srtod.types import Detections, Finder

Least = Tensor | None
"""The smallest score of each class, ``[classes]``; None for no limit."""


class LimitedFinder(Finder, Protocol):
    """What keeps only detections of some score.

    Attributes:
        least: scores of each class below which no detection is kept; None keeps all.
    """

    least: Least


def config_of(finder: Finder) -> Mapping[str, Any]:
    """What the detector of a finder was built from; nothing where it does not say."""
    return getattr(finder, "config", {})


def operating_point(finder: Finder) -> OperatingPoint | None:
    """What the weights of a finder were calibrated for; None where nobody did."""
    held: dict[str, Any] | None = config_of(finder).get("operating_point")
    return None if held is None else OperatingPoint(**held)


def scores_to_reach(finder: Finder, score_threshold: float | None, *, otherwise: Least) -> Least:
    """The score that is asked for, of every class, or else those that the weights were calibrated for.

    Without both they are as they were, ``otherwise``.

    Raises:
        InputError: a score out of range.
    """
    if score_threshold is None:
        point = operating_point(finder)
        return otherwise if point is None else torch.tensor(point.thresholds, device=finder.device)
    if not (isinstance(score_threshold, Real) and 0 <= score_threshold <= 1):
        raise InputError(f"score_threshold {score_threshold!r}: give a score, 0 to 1")
    return torch.full((len(finder.classes),), float(score_threshold), device=finder.device)


def at_least(found: Detections, least: Least) -> Detections:
    """The detections that reach the score of their class."""
    if least is None:
        return found
    kept = found["scores"] >= least[found["labels"]]
    return {"boxes": found["boxes"][kept], "scores": found["scores"][kept], "labels": found["labels"][kept]}


def say_operating_point(finder: Finder, weights: str | Path, *, one_view: bool = True) -> None:
    """Tell which scores count by themselves, if any do."""
    if point := operating_point(finder):
        several = "" if one_view else " (chosen for one view: the scores of several together are lower)"
        say(
            f"{weights}: detections count from the calibrated scores on ({point.rule}): "
            f"{point.in_words(finder.classes)}{several}; --score-threshold sets another"
        )
