"""Anchors from the boxes of a training, where the recipe leaves them open."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from srtod.data.inspection import object_sizes
from srtod.data.records import ImageRecord
from srtod.detectors.config import DetectorConfig, Parts
from srtod.detectors.preprocess import Preprocess
from srtod.recipes import Recipe, differing_keys
from srtod.recipes.advice import anchor_scales
from srtod.support.errors import InputError


def outline(model: DetectorConfig) -> Parts:
    """The parts of a detector of one class, without weights: its levels, anchors and assignment."""
    with torch.device("meta"):
        return model.changed({"pretrained_backbone": False, "classes": ("object",)}, where="model").parts()


def with_anchor_scale(recipe: Recipe, records: Sequence[ImageRecord]) -> Recipe:
    """Choose the anchor scale from the boxes, as the detector sees them, where the recipe says ``auto``.

    Raises:
        InputError: there are no boxes to choose from.
    """
    if recipe.model.anchor_scale != "auto":
        return recipe
    strides = outline(recipe.model.changed({"anchor_scale": None}, where="model")).pyramid.strides
    scales = anchor_scales(_sizes_seen(recipe, records), strides)
    model = recipe.model.changed({"anchor_scale": scales}, where="model")
    return recipe.model_copy(update={"model": model})


def chosen_keys(given: Recipe, chosen: Recipe) -> Iterator[str]:
    """Say what was chosen."""
    for key, _, value in differing_keys(given, chosen):
        yield f"{key}={list(value)}: chosen from the boxes learned from; the weights carry it"


def _sizes_seen(recipe: Recipe, records: Sequence[ImageRecord]) -> NDArray[np.float64]:
    """Sizes of the objects after cutting and resizing, ``[N]``."""
    preprocess = Preprocess(resize=recipe.model.resize)
    sizes = []
    for record in records:
        height, width = (min(side, recipe.data.piece or side) for side in (record.height, record.width))
        sizes.append(object_sizes(record.boxes[~record.ignore]) * preprocess.factor(height, width))
    seen = np.concatenate(sizes) if sizes else np.zeros(0)
    if not len(seen):
        raise InputError("model.anchor_scale: auto needs boxes to choose from, and no image has one")
    return seen
