"""From results to numbers: mean and spread over seeds, and the gain over the base row, seed by seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from srtod.reproduce.rows import Row
from srtod.reproduce.runner import Result

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: fraction of 1.
        spread: sample standard deviation; None of a single value.
        count: how many values.
    """

    mean: float
    spread: float | None
    count: int


@dataclass(frozen=True)
class TableRow:
    """A row with all its numbers, by column; a column without a number is left out.

    Attributes:
        row: what it is.
        published: the paper's numbers.
        published_gain: over the base row.
        ours: over the seeds.
        gain: over the base row, seed by seed, of the seeds that both have.
        results: of each seed.
    """

    row: Row
    published: dict[str, float]
    published_gain: dict[str, float]
    ours: dict[str, Estimate]
    gain: dict[str, Estimate]
    results: tuple[Result, ...]


def table_rows(
    rows: Sequence[Row], results: Sequence[Result], columns: Sequence[str], published: Mapping[str, Scores]
) -> list[TableRow]:
    """Put the numbers of all rows together.

    Args:
        rows: in the table's order.
        results: of any of them, in any order.
        columns: names of metrics.
        published: of rows by their key, fractions of 1; rows may be missing.
    """
    by_row = {row.key: sorted((r for r in results if r.row == row.key), key=lambda r: r.seed) for row in rows}
    return [
        TableRow(
            row=row,
            published=_picked(published.get(row.key, {}), columns),
            published_gain=_difference(
                published.get(row.key, {}), published.get(row.base or "", {}), columns
            ),
            ours=_estimates([result.metrics for result in by_row[row.key]], columns),
            gain=_estimates(_gains(by_row[row.key], by_row.get(row.base or "", []), columns), columns),
            results=tuple(by_row[row.key]),
        )
        for row in rows
    ]


def _gains(own: Sequence[Result], base: Sequence[Result], columns: Sequence[str]) -> list[dict[str, float]]:
    bases = {result.seed: result.metrics for result in base}
    return [_difference(r.metrics, bases[r.seed], columns) for r in own if r.seed in bases]


def _difference(own: Scores, base: Scores, columns: Sequence[str]) -> dict[str, float]:
    ours, theirs = _picked(own, columns), _picked(base, columns)
    return {column: round(value - theirs[column], 6) for column, value in ours.items() if column in theirs}


def _picked(scores: Scores, columns: Sequence[str]) -> dict[str, float]:
    """Leave out what is -1: there was nothing to find."""
    return {column: scores[column] for column in columns if scores.get(column, -1) >= 0}


def _estimates(values: Sequence[Scores], columns: Sequence[str]) -> dict[str, Estimate]:
    found = {column: [own[column] for own in values if own.get(column, -1) > -1] for column in columns}
    return {column: _estimate(own) for column, own in found.items() if own}


def _estimate(values: Sequence[float]) -> Estimate:
    return Estimate(mean(values), stdev(values) if len(values) > 1 else None, len(values))
