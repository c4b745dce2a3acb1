"""The page of an evaluation: figures and tables of an analysis, and what is wrong in pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from srtod.defaults import METRICS
from srtod.metrics.aitod import Metrics
from srtod.metrics.analysis import RATES, REACH, Analysis
from srtod.metrics.comparison import Interval
from srtod.metrics.errors import KINDS
from srtod.plots.analysis import alarms_figure, errors_figure, recall_figure, threshold_figure
from srtod.plots.report import data_uri, render_page
from srtod.support.files import write_text

Rows = tuple[list[str], list[list[str]]]
"""Columns of a table, and its rows."""


@dataclass(frozen=True)
class Linked:
    """A picture that leads to the image it is made of."""

    picture: Image.Image
    caption: str
    link: str


def write_evaluation(
    path: Path,
    analysis: Analysis,
    metrics: Metrics,
    *,
    summary: Sequence[str],
    compared: Mapping[str, Mapping[str, Interval]],
    pictures: Mapping[str, Sequence[Linked]],
) -> None:
    """Write the page of an evaluation as one HTML file.

    Args:
        path: the file.
        analysis: what is behind the metrics.
        metrics: themselves.
        summary: paragraphs: what was evaluated on what.
        compared: what another run is compared by; may be empty.
        pictures: ``worst`` images, objects that were ``missed``, and false ``alarms``; may be empty.

    Raises:
        InputError: ``path`` cannot be written to.
    """
    every = analysis.sizes["all"]
    best = every.best_f1 or {}
    page = render_page(
        files("srtod.plots").joinpath("analysis.html.j2").read_text(encoding="utf-8"),
        title="Evaluation",
        summary=summary,
        data_uri=data_uri,
        tiles=[
            (_number(metrics.summary["AP50"]), "AP50, of 100"),
            (_number(metrics.summary["AP"]), "AP, of 100"),
            (_number(best.get("f1")), "best F1, of 100"),
            (_number(every.recall_at(1.0, analysis.images)), "recall at 1 false alarm an image, of 100"),
        ],
        metrics=_metrics(metrics),
        sizes=_sizes(analysis),
        size_note=_SIZE_NOTE,
        lost=_lost(analysis),
        operating=_operating(analysis),
        thresholds=threshold_figure(analysis),
        alarms_of=alarms_figure(analysis),
        recall=recall_figure(analysis),
        errors=errors_figure(analysis),
        calibration_error=_number(analysis.reliability.error),
        confusion=_confusion(analysis),
        compared=_compared(compared) if compared else None,
        **{name: pictures.get(name, ()) for name in ("worst", "missed", "alarms")},
    )
    write_text(path, page)


_SIZE_NOTE = (
    f"Of 100 (but objects and score), at an IoU of 0.5. AP {REACH:g} px: a box is right whose centre is at "
    f"most {REACH:g} pixels away from that of its object, for one pixel off halves the IoU of an object of 3 "
    "pixels. F1 is the best over all scores, with its score, precision and recall. R@N: recall at N false "
    "alarms an image, of any size."
)


def _metrics(metrics: Metrics) -> Rows:
    rows = {"all": metrics.summary, **metrics.per_class}
    return ["class", *METRICS], [
        [name, *(_number(values[key]) for key in METRICS)] for name, values in rows.items()
    ]


def _sizes(analysis: Analysis) -> Rows:
    columns = ["size", "objects", "AP50", f"AP {REACH:g} px", "F1", "score", "precision", "recall"]
    rows = []
    for name, own in analysis.sizes.items():
        best = own.best_f1 or {}
        score = f"{best['score']:.3f}" if best else "-"
        numbers = [own.errors.ap, own.ap_by_distance, best.get("f1")]
        others = [best.get("precision"), best.get("recall")]
        others += [own.recall_at(rate, analysis.images) for rate in RATES]
        rows.append([name, f"{own.objects:,}", *map(_number, numbers), score, *map(_number, others)])
    return [*columns, *(f"R@{rate:g}" for rate in RATES)], rows


def _lost(analysis: Analysis) -> Rows:
    rows = [
        [name, *(f"{_number(own.errors.lost[kind])} ({own.errors.counts[kind]:,})" for kind in KINDS)]
        for name, own in analysis.sizes.items()
        if own.objects
    ]
    return ["AP50 lost (errors)", *KINDS], rows


def _operating(analysis: Analysis) -> str:
    pairs = zip(analysis.truth.classes, analysis.thresholds, strict=True)
    scores = ", ".join(f"{name} {score:.3g}" for name, score in pairs)
    alarms = analysis.false_alarms.sum() / max(analysis.images, 1)
    missed, objects = int(analysis.missed.sum()), analysis.sizes["all"].objects
    return (
        f"At the operating point ({analysis.rule}) detections count from these scores on: {scores}. On "
        f"these images that misses {missed:,} of {objects:,} objects, with "
        f"{alarms:.2f} false alarms an image."
    )


def _confusion(analysis: Analysis) -> Rows:
    names = [*analysis.truth.classes, "nothing"]
    rows = [
        [name, *(f"{count:,}" for count in counts)]
        for name, counts in zip(names, analysis.confusion.tolist(), strict=True)
    ]
    rows[-1][-1] = "-"
    return ["there / found", *names], rows


def _compared(compared: Mapping[str, Mapping[str, Interval]]) -> Rows:
    keys = list(next(iter(compared.values())))
    return ["run", *keys], [
        [name, *(str(values.get(key, "-")) for key in keys)] for name, values in compared.items()
    ]


def _number(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) or value == -1 else f"{100 * value:.1f}"


def plain_comparison(compared: Mapping[str, Mapping[str, Interval]]) -> dict[str, Any]:
    """As values of JSON."""
    return {
        name: {key: {"value": own.value, "interval": [own.low, own.high]} for key, own in values.items()}
        for name, values in compared.items()
    }
