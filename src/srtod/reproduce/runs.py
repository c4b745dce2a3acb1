"""Train and evaluate rows over seeds, each in a folder of its own; what is finished is never done again."""

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from pydantic import BaseModel, ConfigDict

from srtod.data.records import AnnotatedSet
from srtod.detectors.zoo import load
from srtod.engine.evaluate import evaluate
from srtod.engine.fit import fit
from srtod.engine.setup import new_detector
from srtod.engine.state import STATE, check_output
from srtod.recipes import Recipe, recipe_text
from srtod.reproduce.plan import with_train
from srtod.support.devices import ONE_GPU, choose_device
from srtod.support.files import read_json, write_json
from srtod.support.provenance import provenance
from srtod.support.validation import validated

_RESULT = "result.json"


class RunResult(BaseModel):
    """What one run came to.

    Attributes:
        row, seed: which run.
        metrics: of the last weights on the held-out images, fractions of 1; -1 where nothing is to be found.
        seconds: ``train`` (building and saving included) and ``evaluate``.
        steps: of the optimizer.
        train_images, held_out_images: how many there were.
        recipe: digest of the recipe.
        provenance: see :func:`srtod.support.provenance.provenance`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    row: str
    seed: int
    metrics: dict[str, float]
    seconds: dict[str, float]
    steps: int
    train_images: int
    held_out_images: int
    recipe: str
    provenance: dict[str, Any]


@dataclass(frozen=True)
class RowRun:
    """A row with a seed, and the folder it lives in."""

    row: str
    seed: int
    recipe: Recipe
    folder: Path

    @property
    def result(self) -> RunResult | None:
        """What it came to; None before it is finished; :class:`InputError` where its file is damaged."""
        return _read_result(self.folder)


def runs_of(recipes: Mapping[str, Recipe], seeds: int, output: Path) -> list[RowRun]:
    """Return the runs of rows, seed 0 of all rows first, so that early results can be compared.

    Args:
        recipes: of each row by its key.
        seeds: how many; they are counted from 0.
        output: each run lives in ``output/KEY-seedN``.
    """
    return [
        RowRun(key, seed, with_train(recipe, seed=seed, evaluate_every=0), output / f"{key}-seed{seed}")
        for seed in range(seeds)
        for key, recipe in recipes.items()
    ]


def results_in(output: Path, rows: Iterable[str], seeds: int) -> list[RunResult]:
    """Read all results of rows and seeds that are there; see :func:`runs_of`."""
    found = (_read_result(output / f"{row}-seed{seed}") for row in rows for seed in range(seeds))
    return [result for result in found if result is not None]


def check_runs(runs: Sequence[RowRun], classes: Sequence[str]) -> None:
    """Tell before any work what would go wrong later; the detector of every row that is left is built once.

    Raises:
        InputError: a detector cannot be built, or has no weights to start from; or a run was begun with
            another recipe.
    """
    for run in runs:
        check_output(run.folder / "train", run.recipe, resume=True)
    left = {run.row: run.recipe for run in runs if run.result is None}
    for recipe in left.values():
        new_detector(recipe, classes, None)


def do_run(run: RowRun, train_set: AnnotatedSet, held_out: AnnotatedSet, *, device: str) -> None:
    """Train, evaluate the last weights and write the result; the saved state is then removed.

    A run that was interrupted goes on where it stopped; the time of all its parts counts.

    Raises:
        InputError: anything wrong in recipe, data or folder.
        NotFiniteError: a loss is not finite.
        KeyboardInterrupt: Ctrl-C.
    """
    clock, training = run.folder / "seconds.json", run.folder / "train"
    trained = read_json(clock)["train"] if clock.exists() else 0.0
    began = time.monotonic()
    try:
        fitted = fit(run.recipe, train_set, None, training, resume=True, device=device)
    finally:
        trained += time.monotonic() - began
        write_json(clock, {"train": trained})
    began = time.monotonic()
    metrics = evaluate(load(fitted.last).to(choose_device(device, among=ONE_GPU)), held_out).summary
    result = RunResult(
        row=run.row,
        seed=run.seed,
        metrics=metrics,
        seconds={"train": round(trained, 1), "evaluate": round(time.monotonic() - began, 1)},
        steps=fitted.steps,
        train_images=len(train_set.records),
        held_out_images=len(held_out.records),
        recipe=hashlib.sha256(recipe_text(run.recipe).encode()).hexdigest()[:16],
        provenance=provenance(device),
    )
    write_json(run.folder / _RESULT, result.model_dump(mode="json"), indent=2)
    (training / STATE).unlink(missing_ok=True)


def time_left(runs: Sequence[RowRun], estimate: float | None) -> str:
    """Tell the time from the finished runs, of the same row where there are any, else from the estimate."""
    finished = [result for run in runs if (result := run.result) is not None]
    if finished:
        taken: dict[str, list[float]] = {run.row: [] for run in runs}
        for result in finished:
            taken[result.row].append(sum(result.seconds.values()))
        everything = [seconds for own in taken.values() for seconds in own]
        estimate = sum(mean(taken[run.row] or everything) for run in runs if run.result is None)
    if estimate is None:
        return "time left unknown before the first is finished"
    return f"about {max(1, round(estimate / 60))} min left"


def _read_result(folder: Path) -> RunResult | None:
    path = folder / _RESULT
    return validated(RunResult, read_json(path), where=str(path)) if path.exists() else None
