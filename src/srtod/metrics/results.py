"""Detections as COCO results: what is evaluated, and what stands in files."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def coco_results(
    boxes: ArrayLike,
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    image_id: int | str,
    categories: Sequence[int | None],
) -> list[dict[str, Any]]:
    """Return the detections of one image as COCO results, in the same order.

    Args:
        boxes: ``[M, 4]``, x1 y1 x2 y2 in pixels of the image.
        scores: ``[M]``.
        labels: ``[M]``, counted from 0.
        image_id: of the image.
        categories: ``category_id`` of each label, or None to leave the class out.

    Returns:
        Dicts ``image_id``, ``category_id``, ``bbox`` (x y width height) and ``score``.
    """
    corners = np.asarray(boxes, dtype=np.float64)
    sides = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1).tolist()
    rows = zip(sides, np.asarray(scores).tolist(), np.asarray(labels).tolist(), strict=True)
    return [
        {"image_id": image_id, "category_id": category, "bbox": box, "score": score}
        for box, score, label in rows
        if (category := categories[label]) is not None
    ]


def with_names(
    results: Sequence[Mapping[str, Any]],
    *,
    file_names: Mapping[int | str, str],
    classes: Sequence[str],
    category_ids: Sequence[int],
) -> list[dict[str, Any]]:
    """Add ``file_name`` and ``category_name`` to COCO results whose ``category_id`` is the label + 1.

    Args:
        results: see :func:`coco_results`.
        file_names: of each image id.
        classes: name of each label.
        category_ids: the number that each label is to have instead.
    """
    return [
        {
            "image_id": result["image_id"],
            "file_name": file_names[result["image_id"]],
            "category_id": category_ids[result["category_id"] - 1],
            "category_name": classes[result["category_id"] - 1],
            "bbox": result["bbox"],
            "score": result["score"],
        }
        for result in results
    ]
