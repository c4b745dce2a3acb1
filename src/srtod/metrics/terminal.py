"""Metrics as tables in the terminal."""

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from srtod.defaults import METRICS
from srtod.metrics.aitod import Metrics
from srtod.metrics.visibility import SHOWN, SIZES, Visibility
from srtod.support.errors import shown


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
        table.add_row(Text(shown(name)), *_cells(values))
    return table


def visibility_tables(measured: Visibility) -> list[Table]:
    """Return a table of what each map shows of objects of each size, and one of the interventions, if any."""
    maps = Table(
        box=box.SIMPLE_HEAD,
        title=f"images: {measured.images}, objects: {measured.objects}",
        caption=(
            "Area under the ROC curve of a cell's value: 0.5 is chance, 1 shows every object. The mask sets "
            f"{measured.object_cells_set:.1%} of the cells of objects, {measured.all_cells_set:.1%} of all."
        ),
        caption_justify="left",
    )
    maps.add_column("map")
    for size in SIZES:
        maps.add_column(size, justify="right", no_wrap=True)
    for name, sizes in measured.auc.items():
        maps.add_row(name, *("-" if np.isnan(value) else f"{value:.3f}" for value in sizes.values()))
    if not measured.interventions:
        return [maps]
    masks = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
        title="the same weights with other masks",
        caption="Percent, and where 95 % of the values lie when images are drawn with replacement.",
        caption_justify="left",
    )
    masks.add_column("mask", no_wrap=True)
    for key in SHOWN:
        masks.add_column(key, justify="right", no_wrap=True)
    for name, values in measured.interventions.items():
        masks.add_row(name, *(str(values.get(key, "-")) for key in SHOWN))
    return [maps, masks]


def _cells(values: dict[str, float]) -> list[str]:
    return [f"{values[key]:.3f}" if values[key] >= 0 else "-" for key in METRICS]
