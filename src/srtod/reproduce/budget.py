"""How much training fits a budget of minutes: time a little of every row, then choose for all."""

import itertools
import json
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from srtod.data.records import AnnotatedSet
from srtod.detectors.zoo import load
from srtod.engine.evaluate import evaluate
from srtod.engine.fit import fit
from srtod.engine.sets import training_records
from srtod.engine.state import LOG
from srtod.recipes import Recipe
from srtod.reproduce.plan import Options, Reduction, steps_per_epoch, subset, with_train
from srtod.support.devices import ONE_GPU, choose_device
from srtod.support.errors import InputError
from srtod.support.progress import counting_bar, say

LEAST_STEPS = 20
"""Fewer optimizer steps are no training."""

_USED = 0.9
"""Share of the budget that the estimate may take; the rest is for what it does not know."""

_EVALUATION = 1 / 3
"""Share of the estimate that evaluation may take."""

_TRIAL_STEPS, _TRIAL_IMAGES = 3, 4


@dataclass(frozen=True)
class RowCost:
    """Seconds that a row takes.

    Attributes:
        run: once a run: building, loading, first step.
        epoch: once an epoch: saving.
        step: an optimizer step.
        image: an evaluated image.
        steps: optimizer steps of an epoch on all images.
    """

    run: float
    epoch: float
    step: float
    image: float
    steps: int


def fit_budget(
    recipes: Sequence[Recipe],
    train_set: AnnotatedSet,
    held_out: AnnotatedSet,
    *,
    options: Options,
    spent: float,
) -> Reduction:
    """Return the epochs and shares that fit the budget, of which ``spent`` seconds are gone.

    Raises:
        InputError: the budget is too small for anything.
    """
    began = time.monotonic()
    costs: list[RowCost] = []
    with counting_bar(len(recipes), shown=True) as bar:
        task = bar.add_task("timing the rows", total=len(recipes))
        for recipe in recipes:
            costs.append(measure(recipe, train_set, held_out, device=options.device))
            bar.advance(task)
    chosen = choose(
        costs,
        seeds=options.seeds,
        images=len(held_out.records),
        epochs=min(recipe.train.epochs for recipe in recipes),
        seconds=60 * (options.budget or 0),
        spent=spent + time.monotonic() - began,
    )
    say(
        f"budget: {chosen.epochs} epochs on {chosen.fraction:.0%} of the training images, about "
        f"{(chosen.estimate or 0) / 60:.1f} min for {len(recipes) * options.seeds} runs"
    )
    return chosen


def choose(
    costs: Sequence[RowCost], *, seeds: int, images: int, epochs: int, seconds: float, spent: float = 0.0
) -> Reduction:
    """Choose the largest number of epochs, equal for all rows, that fits; a part of one if none does.

    Args:
        costs: of each row.
        seeds: trainings of each row.
        images: held-out images.
        epochs: no more than these.
        seconds: the budget.
        spent: seconds of it that are gone.

    Raises:
        InputError: not even :data:`LEAST_STEPS` steps fit; says what would.
    """
    usable = (seconds - spent) * _USED
    evaluation = seeds * images * sum(cost.image for cost in costs)
    held_out = min(1.0, _down(_EVALUATION * usable / evaluation))
    fixed = seeds * sum(cost.run for cost in costs) + held_out * evaluation
    saving = seeds * sum(cost.epoch for cost in costs)
    stepping = seeds * sum(cost.step * cost.steps for cost in costs)
    whole, fraction = min(epochs, int((usable - fixed) / (stepping + saving))), 1.0
    if whole < 1:
        whole, fraction = 1, _down((usable - fixed - saving) / stepping)
    if any(fraction * cost.steps < min(LEAST_STEPS, cost.steps) for cost in costs):
        minutes = math.ceil((spent + _least(costs, seeds=seeds, evaluation=evaluation)) / 60)
        raise InputError(
            f"--budget {seconds / 60:g}: too little for {len(costs)} rows x {seeds} seed(s); about {minutes} "
            f"minutes are enough for {LEAST_STEPS} steps each; give more, or fewer --rows or --seeds"
        )
    estimate = fixed + whole * (saving + fraction * stepping)
    return Reduction(epochs=whole, fraction=fraction, held_out=held_out, estimate=estimate)


def measure(recipe: Recipe, train_set: AnnotatedSet, held_out: AnnotatedSet, *, device: str) -> RowCost:
    """Time two short epochs and a few evaluated images.

    The first step of a training and the first image are left out. The first step of the second epoch waits
    for the saving at the end of the first, which tells how long that takes.
    """
    records = training_records(train_set, recipe.data, seed=recipe.train.seed)
    few = tuple(itertools.islice(itertools.cycle(records), _TRIAL_STEPS * recipe.train.batch_size))
    trial = with_train(recipe, epochs=2, milestones=(), evaluate_every=0, log_every=1)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "run"
        began = time.monotonic()
        fitted = fit(trial, replace(train_set, records=few), None, output, device=device, quiet=True)
        taken = time.monotonic() - began
        log = (output / LOG).read_text(encoding="utf-8").splitlines()
        detector = load(fitted.last).to(choose_device(device, among=ONE_GPU))
    some = subset(held_out, _TRIAL_IMAGES / len(held_out.records))
    evaluate(detector, replace(some, records=some.records[:1]), progress=False)
    began = time.monotonic()
    evaluate(detector, some, progress=False)
    image = (time.monotonic() - began) / len(some.records)
    seconds = [json.loads(line)["seconds"] for line in log]
    plain = [value for index, value in enumerate(seconds) if index % _TRIAL_STEPS]
    step = sum(plain) / len(plain)
    epoch = max(seconds[_TRIAL_STEPS] - step, 0.0)
    run = max(taken - 2 * _TRIAL_STEPS * step - 2 * epoch, 0.0)
    return RowCost(run=run, epoch=epoch, step=step, image=image, steps=steps_per_epoch(recipe, train_set))


def _least(costs: Sequence[RowCost], *, seeds: int, evaluation: float) -> float:
    """Seconds that are enough for a part of an epoch of every row."""
    steps = seeds * sum(cost.run + cost.epoch + min(LEAST_STEPS, cost.steps) * cost.step for cost in costs)
    return min(steps + evaluation, steps / (1 - _EVALUATION)) / _USED


def _down(value: float) -> float:
    """Round down to a thousandth."""
    return math.floor(1000 * value) / 1000
