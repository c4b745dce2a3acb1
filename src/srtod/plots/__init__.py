"""Pictures: detections, the maps of self-reconstruction, curves and the report."""

from srtod.plots.curves import curves_figure
from srtod.plots.detections import draw_detections, draw_frame
from srtod.plots.explain import explain_figure
from srtod.plots.report import Plate, Report, Step, write_report
from srtod.plots.scene import Scene

__all__ = [
    "Plate",
    "Report",
    "Scene",
    "Step",
    "curves_figure",
    "draw_detections",
    "draw_frame",
    "explain_figure",
    "write_report",
]
