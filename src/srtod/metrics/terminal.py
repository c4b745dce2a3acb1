"""Metrics as tables in the terminal."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from srtod.defaults import METRICS
from srtod.metrics.aitod import SIZES, Metrics
from srtod.metrics.analysis import REACH, Analysis
from srtod.metrics.comparison import Interval
from srtod.metrics.errors import KINDS
from srtod.metrics.operating import Calibrated
from srtod.metrics.visibility import SHOWN, Visibility
from srtod.support.errors import shown

_FIRST = 9
"""Characters of the first column, however narrow the terminal is."""
_RESAMPLED = "Percent, and where 95 % of the values lie when images are drawn with replacement"


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


def side_by_side(measured: Mapping[str, Metrics]) -> Table:
    """Return a table with a row of percent for each of at least two, and last minus first."""
    table = Table(
        box=box.SIMPLE_HEAD, caption="Percent; vt, t, s, m: objects of up to 8, 16, 32 and of more pixels."
    )
    table.add_column("")
    for key in METRICS:
        table.add_column(key, justify="right", no_wrap=True)
    for name, own in measured.items():
        table.add_row(
            name, *("-" if own.summary[key] < 0 else f"{100 * own.summary[key]:.2f}" for key in METRICS)
        )
    first, *_, last = (own.summary for own in measured.values())
    table.add_row("difference", *(f"{100 * (last[key] - first[key]):+.2f}" for key in METRICS), style="bold")
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
        caption=f"{_RESAMPLED}.",
        caption_justify="left",
    )
    masks.add_column("mask", no_wrap=True)
    for key in SHOWN:
        masks.add_column(key, justify="right", no_wrap=True)
    for name, values in measured.interventions.items():
        masks.add_row(name, *(str(values.get(key, "-")) for key in SHOWN))
    return [maps, masks]


def analysis_tables(analysis: Analysis) -> list[Table]:
    """Return the key figures by size, and what AP50 is lost to."""
    count = analysis.images
    figures = _table(
        "by size",
        f"Best F1 over all scores, with its score, precision and recall. AP {REACH:g}px: a box is right "
        f"whose centre is {REACH:g} pixels away at most. R@N: recall at N false alarms an image.",
        ["size", "objects", "AP50", f"AP {REACH:g}px", "F1", "score", "prec.", "recall", "R@1", "R@10"],
    )
    lost = _table(
        "AP50 lost to errors",
        "By how much AP50 would be higher without them, in points of 100, and how many there are.",
        ["size", *KINDS],
    )
    for name, own in analysis.sizes.items():
        if own.objects:
            best = own.best_f1 or {}
            numbers = [own.errors.ap, own.ap_by_distance, *(best.get(key) for key in ("f1", "score"))]
            numbers += [best.get("precision"), best.get("recall")]
            numbers += [own.recall_at(rate, count) for rate in (1, 10)]
            figures.add_row(name, f"{own.objects:,}", *map(_number, numbers))
            lost.add_row(
                name, *(f"{100 * own.errors.lost[kind]:.1f} ({own.errors.counts[kind]:,})" for kind in KINDS)
            )
    return [figures, lost]


def comparison_table(rows: Mapping[str, Mapping[str, Interval]]) -> Table:
    """Return a table of what :func:`srtod.metrics.comparison.compared` gives."""
    keys = list(next(iter(rows.values())))
    table = _table(
        "compared",
        _RESAMPLED + ", the same for both.",
        ["run", *keys],
    )
    for name, values in rows.items():
        table.add_row(Text(shown(name)), *(str(values.get(key, "-")) for key in keys))
    return table


def calibration_table(chosen: Mapping[str, Calibrated]) -> Table:
    """Return a table of the thresholds by class; NaN is shown as a dash."""
    table = _table(
        "calibrated thresholds",
        "On these data, at an IoU of 0.5. -: no object of the class to choose by.",
        ["class", "score", "precision", "recall", "false alarms an image"],
    )
    for name, own in chosen.items():
        numbers = (own.threshold, own.precision, own.recall, own.false_alarms)
        table.add_row(Text(shown(name)), *map(_number, numbers))
    return table


def _table(title: str, caption: str, columns: Sequence[str]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), title=title, caption=caption, caption_justify="left"
    )
    table.add_column(columns[0], overflow="fold", min_width=_FIRST)
    for name in columns[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _number(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) else f"{value:.3f}"


def _cells(values: dict[str, float]) -> list[str]:
    return [f"{values[key]:.3f}" if values[key] >= 0 else "-" for key in METRICS]
