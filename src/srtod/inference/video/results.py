"""The detections of one frame: as a line of JSON, and on its picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srtod.inference.video.decoding import Frame
from srtod.plots import draw_frame
from srtod.results import coco_results

Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Boxes ``[M, 4]`` (x1 y1 x2 y2), scores ``[M]`` and labels ``[M]`` of a frame, best first."""
Numbers = Sequence[int | None] | None
"""The track of each detection, None where it has none; None instead of all where nothing is tracked."""


def frame_line(frame: Frame, found: Arrays, classes: Sequence[str], numbers: Numbers) -> dict[str, Any]:
    """Return ``frame``, ``time`` (seconds) and ``detections``, each as in COCO results, with ``track_id``."""
    ids = range(1, len(classes) + 1)
    detections = coco_results(None, *found, category_ids=ids, names=classes, rounded=True)
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
