"""Compare rows on a data set: plan, run what is missing, and write the table after every run."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from srtod.data.records import AnnotatedSet
from srtod.engine.sets import Source, training_sets
from srtod.recipes import Recipe, load_recipe
from srtod.reproduce.budget import fit_budget
from srtod.reproduce.plan import (
    PLAN,
    Options,
    Reduction,
    RunPlan,
    describe_data,
    read_plan,
    shortened,
    steps_per_epoch,
    subset,
)
from srtod.reproduce.rows import (
    Comparison,
    Row,
    choose_rows,
    left_out,
    matched,
    published_tables,
    resolve,
    without_reconstruction,
)
from srtod.reproduce.runs import check_runs, do_run, results_in, runs_of, time_left
from srtod.reproduce.table import write_table
from srtod.support.errors import InputError
from srtod.support.files import require_writable, write_json
from srtod.support.progress import say

Sets = tuple[AnnotatedSet, AnnotatedSet]
"""To train and to evaluate on."""


def reproduce_table(
    name: str,
    data: Path,
    output: Path,
    *,
    rows: Sequence[str] = (),
    is_matched: bool = False,
    options: Options,
) -> str:
    """Train and evaluate rows of a table of the paper and set its numbers beside ours; see :func:`compare`.

    Args:
        name: ``table-1`` to ``table-7``.
        data: as ``output`` and ``options``, see :func:`compare`.
        output: folder for plan, runs and tables.
        rows: keys of the rows to run; all where none is given.
        is_matched: base rows take all settings of the rows compared with them but self-reconstruction.
        options: how much is done.
    """
    table = published_tables()[name]
    own = matched(table.rows) if is_matched else table.rows
    about = (
        f"Lines 'paper' are published numbers on {table.dataset} (Cao et al., Visible and Clear: Finding "
        "Tiny Objects in Difference Map, ECCV 2024); lines 'ours' were computed on the data named below. "
        "On other data, or reduced, compare gains, not values."
    )
    matching = (
        "Matched: every base row has the anchors, proposals, detections and schedule of the row with "
        "SR-TOD; they differ in self-reconstruction alone. The paper's lines are as published."
        if is_matched
        else "Not matched: rows have the published settings, in which base rows may have other anchors; "
        "--matched makes self-reconstruction the only difference."
    )
    asked = {"table": name, "--matched": is_matched}
    comparison = replace(table, rows=own, notes=(about, matching), asked=asked)
    return compare(comparison, data, output, rows=choose_rows(own, rows), options=options)


def reproduce_matched(recipe: str, data: Path, output: Path, *, options: Options) -> str:
    """Train and evaluate a recipe with and without self-reconstruction, all else equal; see :func:`compare`.

    Raises:
        InputError: the recipe has no self-reconstruction that changes detections, or as :func:`compare`.
    """
    switches = load_recipe(recipe, options.changes).model.self_reconstruction
    if switches is None or not switches.changes_detections:
        raise InputError(
            f"recipe {recipe}: has no self-reconstruction that changes the detections, so there is nothing "
            "to compare; take another, or add --set model.self_reconstruction.enhancement=gated"
        )
    enhanced = Row("srtod", "with self-reconstruction", recipe, options.changes, base="base")
    base = without_reconstruction(enhanced, key="base", label="without")
    comparison = Comparison(
        title=f"{Path(recipe).stem}: with and without self-reconstruction",
        rows=(base, enhanced),
        notes=("The two rows differ in self-reconstruction alone.",),
        asked={"recipe": recipe},
    )
    return compare(comparison, data, output, options=options)


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
    chosen = {row.key: row for row in (comparison.rows if rows is None else rows)}
    for change, keys in left_out(list(chosen.values()), options.changes).items():
        if len(keys) == len(chosen):
            raise InputError(f"--set {change}: the system of no row has this option")
        say(f"--set {change}: left out of {', '.join(keys)}, whose system has no such option")
    overlays = ["_light"] if options.scale == "light" else []
    recipes = {key: resolve(row, overlays=overlays, changes=options.changes) for key, row in chosen.items()}
    sets = _sets(data, comparison.splits, options)
    given = {"asked": {**comparison.asked, **options.asked()}, "data": describe_data(data, *sets)}
    plan = read_plan(output, **given) or _new_plan(recipes, sets, options, given, began)
    plan = plan.extended(recipes, options.seeds)
    train_set, held_out = subset(sets[0], plan.fraction), subset(sets[1], plan.held_out)
    if plan.epochs is not None or plan.fraction != 1.0:
        for key, recipe in recipes.items():
            recipes[key] = shortened(recipe, plan.epochs, steps_per_epoch(recipe, train_set))
    runs = runs_of(recipes, options.seeds, output / "runs")
    check_runs(runs, train_set.classes)
    write_json(output / PLAN, plan.model_dump(mode="json"), indent=2)
    _write(comparison, plan, output)
    try:
        for number, run in enumerate(runs, start=1):
            if run.result is None:
                left = time_left(runs, plan.estimate)
                say(f"run {number} of {len(runs)}: {chosen[run.row].label}, seed {run.seed}; {left}")
                do_run(run, train_set, held_out, device=options.device)
                _write(comparison, plan, output)
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        raise
    say(f"the table: {output / 'table.md'}, table.json, table.html")
    return _write(comparison, plan, output)


def _sets(data: Path, usual: tuple[str, str] | None, options: Options) -> Sets:
    """Read the comparison's own splits where the data have both and no other was asked for."""
    source, val_split = Source(data, None, options.format, options.skip_bad), options.split
    if usual and val_split in {None, usual[1]} and set(usual) <= set(source.splits):
        source, val_split = replace(source, split=usual[0]), usual[1]
    train_set, held_out = training_sets(source, val_split=val_split)
    if held_out is None:
        raise InputError(f"{data}: has no split val or test to evaluate on; name one with --split")
    return train_set, held_out


def _new_plan(
    recipes: Mapping[str, Recipe], sets: Sets, options: Options, given: Mapping[str, Any], began: float
) -> RunPlan:
    """Decide how much is done of rows on data."""
    reduction = Reduction(epochs=options.epochs, fraction=options.fraction or 1.0)
    if options.budget is not None:
        spent = time.monotonic() - began
        reduction = fit_budget(list(recipes.values()), *sets, options=options, spent=spent)
    return RunPlan(**given, **reduction.model_dump())


def _write(comparison: Comparison, plan: RunPlan, output: Path) -> str:
    """Write the table of all results so far."""
    return write_table(output, comparison, plan, results_in(output / "runs", plan.rows, plan.seeds))
