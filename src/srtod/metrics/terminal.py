"""Metrics as a table in the terminal."""

from rich import box
from rich.table import Table

from srtod.defaults import METRICS
from srtod.metrics.aitod import Metrics


def metrics_table(metrics: Metrics) -> Table:
    """Return a table with a row for all classes together and one for each; -1 is shown as a dash."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"images: {metrics.images}",
        caption=(
            "Fractions of 1. AP and AR over IoU 0.50:0.95; vt, t, s, m: objects of up to 8, 16, 32 and of "
            "more pixels (square root of the area). At most "
            f"{metrics.detections_per_image} detections of a class in an image. "
            "-: no object of that size in the ground truth."
        ),
        caption_justify="left",
    )
    table.add_column("class", overflow="fold")
    for key in METRICS:
        table.add_column(key, justify="right", no_wrap=True)
    table.add_row("all", *_cells(metrics.summary), style="bold", end_section=True)
    for name, values in metrics.per_class.items():
        table.add_row(name, *_cells(values))
    return table


def _cells(values: dict[str, float]) -> list[str]:
    return [f"{values[key]:.3f}" if values[key] >= 0 else "-" for key in METRICS]
