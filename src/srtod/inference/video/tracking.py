"""Which detections of one frame are the objects of the frames before."""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srtod.support.errors import missing_extra

BUFFER = 1.0
"""Boxes grow by this part of their side on each side before they are compared (buffered IoU): objects of a
few pixels move by more than their own size from frame to frame, so that plain boxes would not meet."""
MEET = 0.1
"""Least IoU of grown boxes that are taken for one object."""


class Tracks:
    """Numbers of objects, by ByteTrack (Zhang et al., ECCV 2022) on buffered boxes, class by class.

    Args:
        rate: frames a second that are looked at.
        min_score: a track begins with a detection of at least this score; worse ones go on with tracks.

    Raises:
        InputError: the package ``trackers`` is not installed.
    """

    def __init__(self, rate: Fraction, *, min_score: float) -> None:
        try:
            from trackers import BIoU, ByteTrackTracker
        except ImportError as error:
            raise missing_extra("tracking", "--track needs the package trackers", error) from error
        self._make = lambda: ByteTrackTracker(
            frame_rate=float(rate),
            track_activation_threshold=min_score,
            high_conf_det_threshold=min_score,
            minimum_iou_threshold=MEET,
            iou=BIoU(buffer_ratio=BUFFER),
        )
        self._trackers: dict[int, Any] = {}
        self._numbers: dict[tuple[int, int], int] = {}

    def number(
        self, boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> list[int | None]:
        """Number the detections of the next frame, boxes ``[M, 4]`` (x1 y1 x2 y2), scores and labels ``[M]``.

        Returns:
            For each the number of its track, counted from 1; None where it has none: on first sight, or for
            want of score.
        """
        import supervision

        numbers: list[int | None] = [None] * len(boxes)
        for label in sorted(self._trackers.keys() | set(labels.tolist())):
            tracker = self._trackers.setdefault(label, self._make())
            own = np.flatnonzero(labels == label)
            seen = supervision.Detections(
                xyxy=boxes[own].astype(np.float64), confidence=scores[own], data={"place": own}
            )
            tracked = tracker.update(seen)
            for place, track in zip(tracked.data.get("place", ()), tracked.tracker_id, strict=False):
                if track >= 0:
                    key = (label, int(track))
                    numbers[place] = self._numbers.setdefault(key, len(self._numbers) + 1)
        return numbers
