"""The detections of one frame: as rows of its line of JSON, and on its picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srtod.inference.video.decoding import Frame
from srtod.plots import draw_frame
from srtod.results import coco_results
from srtod.types import Detections

Columns = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Boxes ``[M, 4]`` (x1 y1 x2 y2), scores ``[M]`` and labels ``[M]`` of a frame, best first."""
Numbers = Sequence[int | None] | None
"""The track of each detection, None where it has none; None instead of all where nothing is tracked."""


def rows_of(found: Detections, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the detections of a frame as in COCO results, without their image."""
    boxes, scores = (found[key].float().cpu().numpy() for key in ("boxes", "scores"))
    ids, labels = range(1, len(classes) + 1), found["labels"].cpu().numpy()
    return coco_results(None, boxes, scores, labels, category_ids=ids, names=classes, rounded=True)


def columns_of(rows: Sequence[dict[str, Any]]) -> Columns:
    """Return what :func:`rows_of` was made of."""
    boxes = np.array([row["bbox"] for row in rows], dtype=np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    scores = np.array([row["score"] for row in rows], dtype=np.float32)
    return boxes, scores, np.array([row["category_id"] - 1 for row in rows], dtype=np.int64)


def frame_picture(frame: Frame, found: Columns, numbers: Numbers, *, min_score: float) -> NDArray[np.uint8]:
    """Draw the detections of at least ``min_score``, with their tracks and scores."""
    boxes, scores, labels = found
    drawn = np.flatnonzero(scores >= min_score)
    tracks = [None if numbers is None else numbers[index] for index in drawn]
    texts = [
        f"{score:.2f}" if track is None else f"#{track} {score:.2f}"
        for track, score in zip(tracks, scores[drawn].tolist(), strict=True)
    ]
    return draw_frame(frame.pixels, boxes[drawn], labels[drawn], texts)
