"""Compare rows on a data set: plan, run what is missing, and write the table after every run."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from srtod.data import splits
from srtod.data.records import AnnotatedSet
from srtod.engine.sets import training_sets
from srtod.recipes import Recipe
from srtod.reproduce.budget import fit_budget
from srtod.reproduce.notes import notes
from srtod.reproduce.options import Options
from srtod.reproduce.plan import PLAN, Plan, describe_data, read_plan
from srtod.reproduce.reductions import share, shortened, steps_per_epoch
from srtod.reproduce.render import write_tables
from srtod.reproduce.rows import Row, resolve
from srtod.reproduce.runner import check_runs, do_runs, results_in, runs_of
from srtod.reproduce.table import table_rows
from srtod.support.errors import InputError
from srtod.support.files import require_writable
from srtod.support.progress import say

COLUMNS = ("AP", "AP50", "AP75", "APvt", "APt", "APs")


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        title: of the table.
        rows: all of the table's, whether they are run or not.
        columns: names of metrics.
        splits: to learn from and to evaluate on, where the data have both; None leaves the usual ones.
        published: numbers to set beside ours, fractions of 1, by row.
        notes: what the reader of the table should know before all.
        asked: what decides the rows, as plain values for the plan.
    """

    title: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...] = COLUMNS
    splits: tuple[str, str] | None = None
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)


def compare(
    comparison: Comparison, data: Path, output: Path, *, rows: Sequence[Row] | None = None, options: Options
) -> str:
    """Train and evaluate rows over seeds and write ``table.md``, ``table.json`` and ``table.html``.

    Called again it goes on where it stopped; further rows and seeds may be asked for then.

    Args:
        comparison: what is compared.
        data: a data set with a held-out split.
        output: folder for plan, runs and tables.
        rows: those to run; all where None.
        options: how much is done.

    Returns:
        The table as Markdown.

    Raises:
        InputError: anything wrong in options, data or folder.
        NotFiniteError: a loss is not finite.
        KeyboardInterrupt: Ctrl-C; the same call goes on.
    """
    began = time.monotonic()
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise InputError(
            "srtod reproduce runs in one process; start it without torchrun or accelerate launch"
        )
    require_writable(output / PLAN)
    options = options.settled()
    chosen = comparison.rows if rows is None else rows
    recipes = {row.key: _recipe(row, options) for row in chosen}
    train_set, held_out = _sets(data, comparison.splits, options)
    plan = _plan(comparison, recipes, data, output, sets=(train_set, held_out), options=options, began=began)
    train_set, held_out = share(train_set, plan.fraction), share(held_out, plan.held_out)
    runs = runs_of(_shortened(recipes, plan, train_set), options.seeds, output / "runs")
    check_runs(runs, train_set.classes)
    plan.write(output)
    _write(comparison, plan, output)
    try:
        do_runs(
            runs,
            train_set,
            held_out,
            device=options.device,
            labels={row.key: row.label for row in chosen},
            estimate=plan.estimate,
            after=lambda: _write(comparison, plan, output),
        )
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        raise
    say(f"the table: {output / 'table.md'}, table.json, table.html")
    return _write(comparison, plan, output)


def _recipe(row: Row, options: Options) -> Recipe:
    overlays = ["_light"] if options.scale == "light" else []
    return resolve(row, overlays=overlays, changes=options.changes)


def _sets(data: Path, usual: tuple[str, str] | None, options: Options) -> tuple[AnnotatedSet, AnnotatedSet]:
    train_split, val_split = None, options.split
    if usual is not None and options.split in {None, usual[1]}:
        train_split, val_split = (
            usual if set(usual) <= set(splits(data, format=options.format)) else (None, val_split)
        )
    train_set, held_out = training_sets(
        data,
        train_split=train_split,
        val_split=val_split,
        format=options.format,
        skip_bad=options.skip_bad,
        say=say,
    )
    if held_out is None:
        raise InputError(f"{data}: has no split val or test to evaluate on; name one with --split")
    return train_set, held_out


def _plan(
    comparison: Comparison,
    recipes: Mapping[str, Recipe],
    data: Path,
    output: Path,
    *,
    sets: tuple[AnnotatedSet, AnnotatedSet],
    options: Options,
    began: float,
) -> Plan:
    """Go on with the plan in the output folder, or make one."""
    asked = {**comparison.asked, **options.asked()}
    described = describe_data(data, *sets)
    plan = read_plan(output, asked=asked, data=described)
    if plan is None:
        plan = Plan(asked=asked, data=described, epochs=options.epochs, fraction=options.fraction or 1.0)
        if options.budget is not None:
            spent = time.monotonic() - began
            plan = fit_budget(plan, list(recipes.values()), *sets, options=options, spent=spent)
    return plan.extended(recipes, options.seeds)


def _shortened(recipes: Mapping[str, Recipe], plan: Plan, train_set: AnnotatedSet) -> Mapping[str, Recipe]:
    if plan.epochs is None and plan.fraction == 1.0:
        return recipes
    return {key: shortened(own, plan.epochs, steps_per_epoch(own, train_set)) for key, own in recipes.items()}


def _write(comparison: Comparison, plan: Plan, output: Path) -> str:
    """Write the table of all results so far."""
    results = results_in(output / "runs", plan.rows, plan.seeds)
    return write_tables(
        output,
        title=comparison.title,
        notes=[*comparison.notes, *notes(plan, comparison.rows, results)],
        columns=comparison.columns,
        rows=table_rows(comparison.rows, results, comparison.columns, comparison.published),
        details={"plan": plan.model_dump(mode="json")},
    )
