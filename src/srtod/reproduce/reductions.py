"""Less than was published: fewer epochs, a share of the images. The same for every row, and nested."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from srtod.data.records import AnnotatedSet
from srtod.engine.sets import training_records
from srtod.recipes import Recipe

_ORDER_SEED = 0
"""Of the order in which images are taken; one for all, so that a smaller share lies in a larger one."""

_WARM_UP = 0.1
"""Share of all steps that the warm-up takes at most."""


def shortened(recipe: Recipe, epochs: int | None, steps_per_epoch: int) -> Recipe:
    """Return a recipe of so many epochs.

    Args:
        recipe: whose milestones shrink in proportion, and whose warm-up takes a tenth of the steps at most.
        epochs: None leaves them as they are.
        steps_per_epoch: optimizer steps.
    """
    before = recipe.train
    epochs = epochs or before.epochs
    milestones = tuple(max(1, round(epoch * epochs / before.epochs)) for epoch in before.milestones)
    warmup = min(before.warmup_steps, math.ceil(_WARM_UP * epochs * steps_per_epoch))
    return with_train(recipe, epochs=epochs, milestones=milestones, warmup_steps=warmup)


def with_train(recipe: Recipe, **changes: Any) -> Recipe:
    """Return the recipe with other values in its section ``train``."""
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=changes)})


def share(annotated: AnnotatedSet, fraction: float) -> AnnotatedSet:
    """Return a share of a set's images, chosen at random, at least one; a smaller share lies in a larger."""
    count = max(1, round(fraction * len(annotated.records)))
    order = np.random.default_rng(_ORDER_SEED).permutation(len(annotated.records))
    chosen = sorted(order[:count].tolist())
    return replace(annotated, records=tuple(annotated.records[index] for index in chosen))


def steps_per_epoch(recipe: Recipe, train_set: AnnotatedSet) -> int:
    """Return the optimizer steps of one epoch.

    Raises:
        InputError: nothing is marked in any of the images.
    """
    records = training_records(train_set, images_without_boxes=recipe.data.images_without_boxes)
    return -(-len(records) // recipe.train.batch_size)
