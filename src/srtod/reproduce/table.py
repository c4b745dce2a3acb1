"""From results to a table: mean and spread over seeds, gains over the base row, and what stands above it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from srtod.plots.report import render_page
from srtod.recipes import load_recipe
from srtod.reproduce.plan import RunPlan
from srtod.reproduce.rows import Comparison, Row, left_out, resolve
from srtod.reproduce.runs import RunResult
from srtod.support.files import write_json, write_text

Scores = Mapping[str, float]
"""Metrics by name, fractions of 1."""

Line = tuple[str, list[str]]
"""Whose numbers, and one cell a column."""

_NOTHING = 0.001
"""AP below which a row has found nothing."""


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
    """A row as ``table.json`` has it, its numbers by column; a column without a number is left out.

    Attributes:
        key, label, base, recipe, changes: see :class:`~srtod.reproduce.rows.Row`.
        paper, paper_gain: published numbers, and what they are above the base row's.
        ours, gain: over the seeds; the gain is counted seed by seed, of the seeds that both rows have.
        runs: the result of each seed.
    """

    key: str
    label: str
    base: str | None
    recipe: str
    changes: tuple[str, ...]
    paper: dict[str, float] | None
    paper_gain: dict[str, float] | None
    ours: dict[str, Estimate] | None
    gain: dict[str, Estimate] | None
    runs: list[dict[str, Any]]


def table_rows(comparison: Comparison, results: Sequence[RunResult]) -> list[TableRow]:
    """Put the numbers of all rows of a comparison together; results may come in any order."""
    columns, by_seed = comparison.columns, sorted(results, key=lambda result: result.seed)

    def published(key: str | None) -> dict[str, float]:
        return _found(comparison.published.get(key or "", {}), columns)

    def ours(key: str | None) -> dict[int, dict[str, float]]:
        return {r.seed: _found(r.metrics, columns) for r in by_seed if r.row == key}

    rows = []
    for row in comparison.rows:
        own, base = ours(row.key), ours(row.base)
        rows.append(
            TableRow(
                **vars(row),
                paper=published(row.key) or None,
                paper_gain=_gain(published(row.key), published(row.base)) or None,
                ours=_estimates([*own.values()]),
                gain=_estimates([_gain(scores, base[seed]) for seed, scores in own.items() if seed in base]),
                runs=[result.model_dump(mode="json") for result in by_seed if result.row == row.key],
            )
        )
    return rows


def write_table(output: Path, comparison: Comparison, plan: RunPlan, results: Sequence[RunResult]) -> str:
    """Write ``table.md``, ``table.json`` and ``table.html``, each whole or not at all; return the Markdown.

    Raises:
        InputError: the folder cannot be written to.
    """
    title, columns, rows = comparison.title, comparison.columns, table_rows(comparison, results)
    notes = [*comparison.notes, *_reductions(plan, comparison.rows), *_origin(results)]
    shown = [(row.label, lines_of(row, columns)) for row in rows]
    text = _markdown(title, notes, columns, shown)
    write_text(output / "table.md", text)
    template = files("srtod.reproduce").joinpath("table.html.j2").read_text(encoding="utf-8")
    page = render_page(template, title=title, summary=[], notes=notes, columns=columns, rows=shown)
    write_text(output / "table.html", page)
    plain = {"title": title, "columns": columns, "notes": notes, "rows": [asdict(row) for row in rows]}
    write_json(output / "table.json", plain | {"plan": plan.model_dump(mode="json")}, indent=2)
    return text


def lines_of(row: TableRow, columns: Sequence[str]) -> list[Line]:
    """Return the lines of a row, in percent: the paper's, ours, and the gains of both over the base row."""
    count = len(row.runs)
    ours = f"ours, {count} seed{'s' if count > 1 else ''}" if count else "ours: not run"
    lines: list[tuple[str, Mapping[str, Estimate | float] | None, str]] = [
        ("paper", row.paper, ""),
        (ours, row.ours, ""),
        ("gain, paper", row.paper_gain, "+"),
        ("gain, ours", row.gain, "+"),
    ]
    return [
        (whose, [_cell((numbers or {}).get(column), sign) for column in columns])
        for whose, numbers, sign in lines
        if numbers or whose == ours
    ]


def _found(scores: Scores, columns: Sequence[str]) -> dict[str, float]:
    """Leave out what is -1: there was nothing to find."""
    return {column: scores[column] for column in columns if scores.get(column, -1) >= 0}


def _gain(own: Scores, base: Scores) -> dict[str, float]:
    return {column: round(value - base[column], 6) for column, value in own.items() if column in base}


def _estimates(scores: Sequence[Scores]) -> dict[str, Estimate] | None:
    values: dict[str, list[float]] = {}
    for column, value in (pair for own in scores for pair in own.items()):
        values.setdefault(column, []).append(value)
    estimates = {
        column: Estimate(mean(own), stdev(own) if len(own) > 1 else None, len(own))
        for column, own in values.items()
    }
    return estimates or None


def _cell(number: Estimate | float | None, sign: str) -> str:
    if number is None:
        return "-"
    if isinstance(number, Estimate):
        spread = "" if number.spread is None else f" ± {100 * number.spread:.1f}"
        return _cell(number.mean, sign) + spread
    return f"{100 * number:{sign}z.1f}"


def _markdown(
    title: str, notes: Sequence[str], columns: Sequence[str], rows: Sequence[tuple[str, list[Line]]]
) -> str:
    def joined(*cells: str) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    lines = [f"# {title}", "", *(f"- {note}" for note in notes), ""]
    lines += [joined("row", "", *columns), "|" + "---|" * (len(columns) + 2)]
    for label, own in rows:
        lines += [joined("" if index else label, whose, *cells) for index, (whose, cells) in enumerate(own)]
    return "\n".join(lines) + "\n"


def _reductions(plan: RunPlan, rows: Sequence[Row]) -> Iterator[str]:
    """Tell what was compared on which data, and what was reduced."""
    data, asked = plan.data, plan.asked
    train = _images(data["train_images"], data["train_boxes"], plan.fraction)
    held_out = _images(data["held_out_images"], data["held_out_boxes"], plan.held_out)
    yield (
        f"Data: {data['name']}, {len(data['classes'])} class(es). Trained on {train}; evaluated on "
        f"{held_out} of the split {data['held_out_split']!r}."
    )
    yield _scale(asked["--scale"])
    own = ", ".join(sorted({str(resolve(row, changes=asked["--set"]).train.epochs) for row in rows}))
    if plan.epochs is None:
        yield f"Epochs: {own}, as the recipes say."
    else:
        why = f", as many as fit {asked['--budget']:g} minutes" if asked["--budget"] else ""
        yield f"Epochs: {plan.epochs} in place of {own}{why}; the schedule is shortened with them."
    if asked["--set"]:
        yield f"Changed in every row: {', '.join(asked['--set'])}."
    for change, keys in left_out(rows, asked["--set"]).items():
        yield f"{change} is left out of {', '.join(keys)}: no option of that system."
    yield (
        "Percent. ± is the sample standard deviation over seeds; a gain is the mean difference from the base "
        "row, seed by seed. All numbers are of the last weights."
    )


def _images(images: int, boxes: int, fraction: float) -> str:
    if fraction == 1.0:
        return f"all {images} images ({boxes} boxes)"
    return f"{max(1, round(fraction * images))} of {images} images, chosen at random, the same for every row"


def _scale(scale: str) -> str:
    if scale == "full":
        return "Scale: full, the recipes as they are but for what is named below."
    light = load_recipe("small", overlays=["_light"])
    model, train = light.model.model_dump(), light.train
    return (
        f"Scale: light, not the published setting: {model['backbone']} from random weights, "
        f"{model['pyramid_channels']} channels a level, {model['rpn_proposals'][0]} proposals and "
        f"{model['detections_per_image']} detections an image, training on pieces of {light.data.crop} px "
        f"with {train.optimizer}, learning rate {train.lr:g}, batch {train.batch_size}; "
        "images are not resized."
    )


def _origin(results: Sequence[RunResult]) -> Iterator[str]:
    """Say where the numbers come from, one line for each machine and version that they were made with."""
    if results and all(result.metrics["AP"] < _NOTHING for result in results):
        yield "No row found anything worth mentioning: too little training to compare them."
    dates: dict[str, list[str]] = {}
    for result in results:
        made, machine = result.provenance, result.provenance["machine"]
        device = machine["gpu"] or f"{machine['processor']}, {machine['threads']} thread(s)"
        commit = f", commit {made['commit'][:10]}" if made["commit"] else ""
        what = f"srtod {made['version']}{commit}, torch {machine['torch']}, on {device}"
        dates.setdefault(what, []).append(made["date"][:10])
    for what, days in dates.items():
        first, last = min(days), max(days)
        yield f"Made with {what}, {first if first == last else f'{first} to {last}'}."
