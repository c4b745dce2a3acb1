"""The detections of one frame: as a line of JSON, and on its picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srtod.inference.video.decoding import Frame
from srtod.inference.writers import rounded
from srtod.metrics.results import coco_results
from srtod.plots.frames import draw_frame

Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Boxes ``[M, 4]`` (x1 y1 x2 y2), scores ``[M]`` and labels ``[M]`` of a frame, best first."""
Numbers = Sequence[int | None] | None
"""The track of each detection, None where it has none; None instead of all where nothing is tracked."""


def frame_line(frame: Frame, found: Arrays, classes: Sequence[str], numbers: Numbers) -> dict[str, Any]:
    """Return ``frame``, ``time`` (seconds) and ``detections``, each as in COCO results, with ``track_id``."""
    results = coco_results(*found, image_id=frame.index, categories=range(1, len(classes) + 1))
    detections = [
        {
            "category_id": result["category_id"],
            "category_name": classes[result["category_id"] - 1],
            "bbox": result["bbox"],
            "score": result["score"],
        }
        for result in map(rounded, results)
    ]
    for detection, number in zip(detections, numbers or (), strict=numbers is not None):
        detection["track_id"] = number
    return {"frame": frame.index, "time": round(frame.time, 6), "detections": detections}


def frame_picture(frame: Frame, found: Arrays, numbers: Numbers, *, min_score: float) -> NDArray[np.uint8]:
    """Draw the detections of at least ``min_score``, with their tracks and scores."""
    boxes, scores, labels = found
    drawn = np.flatnonzero(scores >= min_score)
    tracks = [None if numbers is None else numbers[index] for index in drawn]
    texts = [
        f"{score:.2f}" if track is None else f"#{track} {score:.2f}"
        for track, score in zip(tracks, scores[drawn].tolist(), strict=True)
    ]
    return draw_frame(frame.pixels, boxes[drawn], labels[drawn], texts)
