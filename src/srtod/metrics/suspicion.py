"""Labels that are likely wrong: what a detector is sure of and the annotations contradict."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from srtod.metrics.aitod import AREA_RANGES
from srtod.metrics.columns import DetectionTable, TruthTable
from srtod.metrics.errors import KINDS, NEAR, RIGHT, sort_errors
from srtod.metrics.matching import Rows, Values, best_first, judge, near_pairs

Suspicion = Literal["missing", "class", "place"]
SUSPICIONS: tuple[Suspicion, ...] = get_args(Suspicion)
_OF_ERROR: dict[str, Suspicion] = {"background": "missing", "class": "class", "place": "place"}


@dataclass(frozen=True)
class Suspicions:
    """S labels that are likely wrong, those first that are so with most confidence.

    Attributes:
        detections: all that were found, best first.
        rows: int64 ``[S]``, the detection that contradicts.
        kinds: int64 ``[S]``, index into :data:`SUSPICIONS`: an object without a label, a label of another
            class, a label beside its object.
        objects: int64 ``[S]``, row of the label that is wrong, -1 where it is missing.
        confidence: ``[S]``, in 0..1.
    """

    detections: DetectionTable
    rows: Rows
    kinds: Rows
    objects: Rows
    confidence: Values


def suspect(truth: TruthTable, found: DetectionTable, *, detections_per_image: int) -> Suspicions:
    """Rank the labels that detections contradict.

    A detection that is no hit is an error, sorted as by :func:`~srtod.metrics.errors.sort_errors`; turned
    round, it may be the label's. The confidence is the score, less that of the detection that agrees with the
    label, if any; of a label out of place it is less by the IoU, too, as detections of tiny objects are
    seldom exact. An object is suspected once.

    Args:
        truth: the labels.
        found: the detections, of a detector that has not learned these labels by heart.
        detections_per_image: best detections of a class that count in an image.
    """
    detections = best_first(found, detections_per_image)
    pairs = near_pairs(truth, detections, overlap=NEAR, reach=-1.0)
    right = pairs.iou >= RIGHT
    judged = judge(truth, detections, pairs.where(right), pairs.iou[right], areas=AREA_RANGES["AP"])
    errors = sort_errors(truth, detections, pairs, judged)
    meaning = np.array([SUSPICIONS.index(_OF_ERROR[kind]) if kind in _OF_ERROR else -1 for kind in KINDS])
    rows = np.flatnonzero(errors.kinds >= 0)
    rows = rows[meaning[errors.kinds[rows]] >= 0]
    kinds, objects = meaning[errors.kinds[rows]], errors.meant[rows]
    agreed = np.zeros(len(truth.labels) + 1)  # the last is of no object
    np.maximum.at(agreed, judged.found[judged.hits], detections.scores[judged.hits])
    overlap = np.zeros(len(detections.scores))
    same = truth.labels[pairs.objects] == detections.labels[pairs.detections]
    np.maximum.at(overlap, pairs.detections[same], pairs.iou[same])
    off = np.where(kinds == SUSPICIONS.index("place"), 1 - overlap[rows], 1.0)
    confidence = np.clip(detections.scores[rows] - agreed[objects], 0, 1) * off
    order = np.argsort(-confidence, kind="stable")
    order = order[confidence[order] > 0]
    labelled = objects[order] >= 0
    first = np.zeros(len(order), dtype=bool)
    first[np.flatnonzero(labelled)[np.unique(objects[order][labelled], return_index=True)[1]]] = True
    order = order[first | ~labelled]
    return Suspicions(detections, rows[order], kinds[order], objects[order], confidence[order])
