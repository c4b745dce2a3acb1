"""Pictures: detections, the maps of self-reconstruction, curves and the report."""

from srtod.plots.curves import curves_figure, read_metrics
from srtod.plots.detections import draw_detections
from srtod.plots.explain import explain_figure
from srtod.plots.report import Plate, Step, write_report

__all__ = [
    "Plate",
    "Step",
    "curves_figure",
    "draw_detections",
    "explain_figure",
    "read_metrics",
    "write_report",
]
