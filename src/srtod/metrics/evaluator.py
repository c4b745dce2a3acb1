"""The COCO evaluator in use, behind one function: replace this module to replace it."""

from collections.abc import Sequence

import hotcoco
import numpy as np
from numpy.typing import NDArray

from srtod.metrics.columns import DetectionTable, TruthTable


def precision_recall(
    truth: TruthTable,
    detections: DetectionTable,
    *,
    area_ranges: Sequence[tuple[float, float]],
    detections_per_image: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Match detections to ground truth as pycocotools does and return precision and recall.

    Ids are handed over as positions counted from 1: an annotation id of 0 would count as "not matched", and
    gaps, strings and order of the file's own ids cannot matter.

    Args:
        truth: ground truth with K classes.
        detections: detections.
        area_ranges: A pairs of least and largest area in square pixels, both included.
        detections_per_image: best detections looked at in an image, for each class.

    Returns:
        Precision ``[10, 101, K, A]`` over IoU 0.50:0.05:0.95 and recall 0:0.01:1, and the largest recall
        ``[10, K, A]``; -1 for a class without ground truth in the area range.
    """
    reference = hotcoco.COCO.from_arrays(
        [{"id": i + 1} for i in range(len(truth.image_ids))],
        [{"id": k + 1, "name": name} for k, name in enumerate(truth.classes)],
        truth.images + 1,
        truth.labels + 1,
        truth.boxes,
        area=truth.areas,
        iscrowd=truth.crowd,
    )
    found = reference.load_res(
        np.column_stack([detections.images + 1, detections.boxes, detections.scores, detections.labels + 1])
    )
    evaluator = hotcoco.COCOeval(reference, found, "bbox")
    evaluator.params.area_rng = [list(area_range) for area_range in area_ranges]
    evaluator.params.area_rng_lbl = [f"{low:g} to {high:g}" for low, high in area_ranges]
    evaluator.params.max_dets = [detections_per_image]
    evaluator.evaluate()
    evaluator.accumulate()
    assert evaluator.eval is not None
    return np.asarray(evaluator.eval["precision"])[..., 0], np.asarray(evaluator.eval["recall"])[..., 0]
