"""What is asked for, and what was decided from it before the first run.

The plan is kept beside the runs, so that the same command goes on with it. What it leaves out, compared with
what was published, it leaves out of every row alike.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from srtod.data.records import AnnotatedSet
from srtod.engine.sets import training_records
from srtod.recipes import Recipe
from srtod.support.devices import ONE_GPU, choose_device
from srtod.support.errors import InputError
from srtod.support.files import read_json
from srtod.support.validation import validated

PLAN = "plan.json"

_SUBSET_SEED = 0
"""One order of the images for all subsets, so that a smaller one lies in a larger one."""


@dataclass(frozen=True)
class Options:
    """How much is done, on what, and where.

    Attributes:
        seeds: trainings of each row, with the seeds 0, 1, ...
        budget: minutes for everything; chooses the epochs.
        epochs: of every row; None is the recipe's own.
        fraction: share of the training images; None is all of them.
        scale: ``full`` is the recipe as it is, ``light`` lays the recipe ``_light`` over it; None is ``full``
            where there is a GPU, else ``light``.
        changes: ``section.key=value`` on every row's recipe.
        split: to evaluate on; None is ``val``, else ``test``.
        format: layout of the data; recognised where None.
        skip_bad: leave out what is damaged.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: a number out of range, or two options that exclude each other.
    """

    seeds: int = 1
    budget: float | None = None
    epochs: int | None = None
    fraction: float | None = None
    scale: str | None = None
    changes: tuple[str, ...] = ()
    split: str | None = None
    format: str | None = None
    skip_bad: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.budget is not None and (self.epochs is not None or self.fraction is not None):
            raise InputError("--budget chooses epochs and fraction itself; leave --epochs and --fraction out")
        if self.budget is not None and not self.budget > 0:
            raise InputError(f"--budget {self.budget:g}: give minutes, more than 0")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise InputError(f"--fraction {self.fraction:g}: give a share above 0 and up to 1")
        if self.epochs is not None and self.epochs < 1:
            raise InputError(f"--epochs {self.epochs}: give 1 or more")

    def settled(self) -> "Options":
        """Return the same with device and scale decided.

        Raises:
            InputError: the device is unknown, or not there.
        """
        device = choose_device(self.device, among=ONE_GPU).type
        return replace(self, device=device, scale=self.scale or ("full" if device == "cuda" else "light"))

    def asked(self) -> dict[str, Any]:
        """Return what decides the numbers, by the name of the option, as plain values."""
        names = ("budget", "epochs", "fraction", "scale", "device")
        return {f"--{name}": getattr(self, name) for name in names} | {"--set": list(self.changes)}


class Reduction(BaseModel):
    """How much less is done than was published, the same for every row.

    Attributes:
        epochs: of every row; None is each recipe's own.
        fraction: share of the training images.
        held_out: share of the held-out images.
        estimate: seconds for all runs, where a budget was given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int | None = None
    fraction: float = 1.0
    held_out: float = 1.0
    estimate: float | None = None


class RunPlan(Reduction):
    """What every run of a comparison has in common.

    Attributes:
        asked: options by name, as given; they may not change any more.
        data: what tells the data from others; may not change either.
        rows: keys of the rows asked for so far.
        seeds: trainings of each row asked for so far.
    """

    asked: dict[str, Any]
    data: dict[str, Any]
    rows: tuple[str, ...] = ()
    seeds: int = 0

    def extended(self, rows: Iterable[str], seeds: int) -> "RunPlan":
        """Return the plan with further rows and seeds."""
        keys = tuple(dict.fromkeys((*self.rows, *rows)))
        return self.model_copy(update={"rows": keys, "seeds": max(seeds, self.seeds)})


def read_plan(output: Path, *, asked: Mapping[str, Any], data: Mapping[str, Any]) -> RunPlan | None:
    """Read the plan of a folder; None where nothing is in it yet.

    Raises:
        InputError: the folder holds something else, or its plan was made for other options or other data.
    """
    path = output / PLAN
    if not path.exists():
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise InputError(
                f"{output}: not empty, and no {PLAN} in it to go on with; choose another --output"
            )
        return None
    plan = validated(RunPlan, read_json(path), where=str(path))
    for kind, before, now in (("", plan.asked, asked), ("data: ", plan.data, data)):
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                raise InputError(
                    f"{path}: begun with {kind}{key} {before.get(key)}, now it is {now.get(key)}; give the "
                    "same, or another --output"
                )
    return plan


def describe_data(data: Path, train_set: AnnotatedSet, held_out: AnnotatedSet) -> dict[str, Any]:
    """Return what tells these data from others, as plain values for JSON."""
    described: dict[str, Any] = {"name": data.resolve().name, "classes": list(train_set.classes)}
    for kind, annotated in (("train", train_set), ("held_out", held_out)):
        digest = hashlib.sha256()
        for record in annotated.records:
            digest.update(f"{record.file_name} {record.width} {record.height}".encode())
            digest.update(record.boxes.tobytes() + record.labels.tobytes() + record.ignore.tobytes())
        described |= {
            f"{kind}_split": annotated.split,
            f"{kind}_images": len(annotated.records),
            f"{kind}_boxes": sum(len(record.boxes) for record in annotated.records),
            f"{kind}_digest": digest.hexdigest()[:16],
        }
    return described


def subset(annotated: AnnotatedSet, fraction: float) -> AnnotatedSet:
    """Return a share of a set's images, chosen at random, at least one; a smaller one lies in a larger."""
    count = max(1, round(fraction * len(annotated.records)))
    order = np.random.default_rng(_SUBSET_SEED).permutation(len(annotated.records))
    return replace(annotated, records=tuple(annotated.records[index] for index in sorted(order[:count])))


def shortened(recipe: Recipe, epochs: int | None, steps_per_epoch: int) -> Recipe:
    """Return a recipe of so many epochs, or of its own.

    Milestones shrink in proportion, and the warm-up takes a tenth of the optimizer steps at most.
    """
    before = recipe.train
    epochs = epochs or before.epochs
    milestones = tuple(max(1, round(epoch * epochs / before.epochs)) for epoch in before.milestones)
    warmup = min(before.warmup_steps, math.ceil(0.1 * epochs * steps_per_epoch))
    return with_train(recipe, epochs=epochs, milestones=milestones, warmup_steps=warmup)


def steps_per_epoch(recipe: Recipe, train_set: AnnotatedSet) -> int:
    """Return the optimizer steps of one epoch.

    Raises:
        InputError: nothing is marked in any of the images.
    """
    records = training_records(train_set, recipe.data, seed=recipe.train.seed)
    return -(-len(records) // recipe.train.batch_size)


def with_train(recipe: Recipe, **changes: Any) -> Recipe:
    """Return the recipe with other values in its section ``train``."""
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=changes)})
