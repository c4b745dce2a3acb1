"""What average precision is lost to, after TIDE (Bolya and others, 2020), and classes that are mixed up."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from srtod.metrics.columns import DetectionTable, TruthTable
from srtod.metrics.matching import Judged, Mask, Pairs, Rows, judge, matched
from srtod.metrics.precision import average_precision, of_hits, ranked

Kind = Literal["class", "place", "both", "double", "background", "missed"]
KINDS: tuple[Kind, ...] = get_args(Kind)
RIGHT, NEAR = 0.5, 0.1
"""The IoU from which on a box is right, and that from which on it is about an object at all."""


@dataclass(frozen=True)
class Errors:
    """Errors of detections of one size.

    Attributes:
        ap: average precision at an IoU of 0.5; NaN where there are no objects.
        lost: by kind, what it would be higher by without these errors, each kind by itself.
        counts: by kind, how many there are.
    """

    ap: float
    lost: dict[Kind, float]
    counts: dict[Kind, int]


@dataclass(frozen=True)
class Sorted:
    """The kind of each wrong detection.

    Attributes:
        kinds: int64 ``[M]``, index into :data:`KINDS`, or -1 for what is not wrong.
        meant: int64 ``[M]``, the object it is about, or -1.
    """

    kinds: Rows
    meant: Rows


def sort_errors(truth: TruthTable, detections: DetectionTable, pairs: Pairs, judged: Judged) -> Sorted:
    """Tell why each wrong detection is wrong.

    ``place``: it overlaps an object of its class, too little (IoU 0.1 to 0.5); ``class``: it is right but for
    the class; ``double``: its object was found by a better one; ``background``: there is nothing (IoU below
    0.1); ``both``: the rest. The first that holds is its kind, as in TIDE's own code.

    Args:
        truth: N objects.
        detections: M detections, best first.
        pairs: those with an IoU of at least 0.1, of all classes.
        judged: what the detections are, if objects of all sizes are to be found.
    """
    pairs = pairs.where(~truth.crowd[pairs.objects] & judged.false_alarms[pairs.detections])
    same = truth.labels[pairs.objects] == detections.labels[pairs.detections]
    count = len(detections.scores)
    (own, own_iou), (other, other_iou) = (_closest(pairs.where(mask), count) for mask in (same, ~same))
    near = (own_iou >= NEAR) & (own_iou < RIGHT)
    nothing = np.maximum(own_iou, other_iou) < NEAR
    rules = {"place": near, "class": other_iou >= RIGHT, "double": own_iou >= RIGHT, "background": nothing}
    number = [KINDS.index(name) for name in rules]
    kinds = np.select(list(rules.values()), number, KINDS.index("both"))
    about_other = (kinds == KINDS.index("class")) | (kinds == KINDS.index("both"))
    meant = np.where(about_other, other, np.where(nothing, -1, own))
    wrong = judged.false_alarms
    return Sorted(np.where(wrong, kinds, -1), np.where(wrong, meant, -1))


def _closest(pairs: Pairs, count: int) -> tuple[Rows, NDArray[np.float64]]:
    """The object of the largest IoU of each of ``count`` detections, or -1, and that IoU, or 0."""
    order = np.argsort(pairs.iou, kind="stable")
    objects, iou = np.full(count, -1), np.zeros(count)
    objects[pairs.detections[order]], iou[pairs.detections[order]] = pairs.objects[order], pairs.iou[order]
    return objects, iou


def errors_of_size(
    truth: TruthTable,
    detections: DetectionTable,
    pairs: Pairs,
    sorted_: Sorted,
    areas: tuple[float, float],
) -> Errors:
    """Correct the errors about objects of one size, kind by kind, and see what that gains.

    An error counts for the size of the object that it is about; on the background for its own. Corrected,
    the best detection about an object that is missed finds it (place, class); all others of the kind are
    gone. What is missed and has no such detection is no longer to be found.
    """
    right = pairs.iou >= RIGHT
    judged = judge(truth, detections, pairs.where(right), pairs.iou[right], areas=areas)
    ap = average_precision(ranked(truth, detections, judged))
    of_size = _of_size(truth, detections, sorted_, areas)
    left = judged.missed()
    fixable = np.isin(sorted_.kinds, [KINDS.index("place"), KINDS.index("class")])
    lost_for_good = left.copy()
    lost_for_good[sorted_.meant[fixable]] = False
    lost: dict[Kind, float] = {}
    counts: dict[Kind, int] = {}
    for number, kind in enumerate(KINDS[:-1]):
        rows = np.flatnonzero(of_size & (sorted_.kinds == number))
        counts[kind] = len(rows)
        lost[kind] = _without(truth, detections, judged, sorted_.meant, rows, left, kind) - ap
    counting = judged.counting & ~lost_for_good
    rest = of_hits(detections.labels, detections.images, judged.hits, judged.ignored, truth, counting)
    gained = average_precision(rest)
    lost["missed"] = (1.0 if np.isnan(gained) else gained) - ap
    counts["missed"] = int(lost_for_good.sum())
    return Errors(ap, lost, counts)


def _of_size(
    truth: TruthTable, detections: DetectionTable, sorted_: Sorted, areas: tuple[float, float]
) -> Mask:
    own = detections.boxes[:, 2:].prod(axis=1)
    about = np.append(truth.areas, 0.0)[sorted_.meant]
    area = np.where(sorted_.meant < 0, own, about)
    return (area >= areas[0]) & (area <= areas[1])


def _without(
    truth: TruthTable,
    detections: DetectionTable,
    judged: Judged,
    meant: Rows,
    rows: Rows,
    missed: Mask,
    kind: Kind,
) -> float:
    """Average precision where the detections ``rows`` are put right or gone."""
    hits, left_out, labels = judged.hits.copy(), judged.ignored.copy(), detections.labels.copy()
    hits[rows], left_out[rows] = False, True
    if kind in ("place", "class"):
        able = rows[missed[meant[rows]]]
        best = able[np.unique(meant[able], return_index=True)[1]]
        hits[best], left_out[best], labels[best] = True, False, truth.labels[meant[best]]
    return average_precision(of_hits(labels, detections.images, hits, left_out, truth, judged.counting))


def confusion(truth: TruthTable, detections: DetectionTable, pairs: Pairs, shown: Mask) -> NDArray[np.int64]:
    """What the objects of each class were found as, ``[K + 1, K + 1]``.

    Args:
        truth: N objects of K classes.
        detections: M detections, best first.
        pairs: those with an IoU of at least 0.5, of all classes.
        shown: bool ``[M]``, the detections that count.

    Returns:
        Rows are true classes, columns found ones; the last row are false alarms, the last column is missed.
    """
    pairs = pairs.where(shown[pairs.detections])
    real = ~truth.crowd[pairs.objects]
    found = matched(pairs.where(real), pairs.iou[real], len(shown), truth.crowd)
    excused = np.zeros(len(shown), dtype=bool)
    excused[pairs.detections[~real]] = True
    rows = np.flatnonzero(shown & ((found >= 0) | ~excused))
    kinds = len(truth.classes)
    left = ~truth.crowd
    left[found[found >= 0]] = False
    true = np.append(truth.labels, kinds)[found[rows]]  # -1, which found nothing, is the last
    table = np.zeros((kinds + 1, kinds + 1), np.int64)
    np.add.at(table, (true, detections.labels[rows]), 1)
    table[:-1, -1] = np.bincount(truth.labels[left], minlength=kinds)
    return table


def plain(errors: Errors) -> dict[str, Any]:
    """As values of JSON, None for what is not known."""
    return {
        "AP50": None if np.isnan(errors.ap) else errors.ap,
        "lost": {kind: None if np.isnan(value) else value for kind, value in errors.lost.items()},
        "counts": errors.counts,
    }
