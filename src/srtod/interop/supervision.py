"""Detections for Roboflow's supervision: annotators, filters, zones, trackers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from srtod.support.errors import InputError, missing_extra
from srtod.types import Detections

if TYPE_CHECKING:
    from supervision import Detections as SupervisionDetections


def to_supervision(found: Detections, classes: Sequence[str] = ()) -> "SupervisionDetections":
    """Turn the detections of one image into ``supervision.Detections``.

    Args:
        found: as detectors give them, on any device.
        classes: names in label order, such as ``detector.classes``; put under ``data["class_name"]``.

    Returns:
        Boxes x1 y1 x2 y2 in pixels, scores and labels, in the order of ``found``.

    Raises:
        InputError: the package is not installed, or a label has no name.
    """
    try:
        import supervision
    except ImportError as error:
        raise missing_extra("supervision", "to_supervision needs the package supervision", error) from error
    labels = found["labels"].cpu().numpy().astype(int)
    if classes and len(labels) and labels.max() >= len(classes):
        raise InputError(f"label {labels.max()} has no name among the {len(classes)} classes")
    return supervision.Detections(
        xyxy=found["boxes"].detach().float().cpu().numpy().reshape(-1, 4),
        confidence=found["scores"].detach().float().cpu().numpy(),
        class_id=labels,
        data={"class_name": np.array([classes[label] for label in labels])} if classes else {},
    )
