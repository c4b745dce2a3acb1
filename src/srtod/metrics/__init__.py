"""AI-TOD metrics: ground truth and detections -> average precision by size."""

from srtod.defaults import DETECTIONS_PER_IMAGE, METRICS
from srtod.metrics.aitod import AREA_RANGES, Metrics, evaluate, evaluate_files

__all__ = ["AREA_RANGES", "DETECTIONS_PER_IMAGE", "METRICS", "Metrics", "evaluate", "evaluate_files"]
