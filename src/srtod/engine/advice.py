"""Advice on a set at hand: settings that fit it on this machine, and which systems can learn its objects."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from srtod.data.inspection import SIZE_BINS, bins_of, object_sizes
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.detectors.systems import options_of, without_others
from srtod.engine.anchors import with_anchor_scale
from srtod.engine.assignment import Assignment
from srtod.recipes import Recipe, read_values
from srtod.recipes.advice import BASE, Machine, Numbers, Setting, advise, slice_to_predict_in
from srtod.recipes.load import recipe_from
from srtod.support.devices import computes_bf16
from srtod.support.errors import InputError
from srtod.support.memory import free_memory

IMAGES = 20
"""Images with objects, evenly spaced, on which systems are compared."""

ALIKE: dict[str, tuple[str, ...]] = {
    "faster-rcnn": ("cascade-rcnn", "detectors"),
    "rfla": (),
    "cascade-rpn": (),
    "retinanet": (),
    "atss": ("dyhead",),
    "tridentnet": (),
}
"""All systems, each with those that assign as it does."""


@dataclass(frozen=True)
class Learnable:
    """What of a set systems can learn.

    Attributes:
        systems: their names.
        options: of the systems, where they are not as published.
        smallest: share of the smallest tenth of the objects that some anchor or cell is to find in some view.
        positives: mean number of anchors or cells that are to find an object, by
            :data:`~srtod.data.inspection.SIZE_BINS`.
    """

    systems: tuple[str, ...]
    options: dict[str, Any]
    smallest: float
    positives: dict[str, float]


@dataclass(frozen=True)
class Advice:
    """What to do with a set.

    Attributes:
        split: its name.
        settings: of the recipe advised.
        slice: side of the slices to predict in, in pixels of the image; None: whole images.
        smallest: size up to which the smallest tenth of the objects goes, in pixels of the image.
        systems: what they can learn, those first that learn most of the smallest tenth.
    """

    split: str
    settings: tuple[Setting, ...]
    slice: int | None
    smallest: float
    systems: tuple[Learnable, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self) | {"settings": [setting._asdict() for setting in self.settings]}


def advised_settings(annotated: AnnotatedSet, device: torch.device) -> tuple[Setting, ...]:
    """Return the settings that fit a set on a device.

    Raises:
        InputError: nothing is marked in it.
    """
    return advise(_numbers(annotated), _machine(device))


def advised_recipe(
    settings: Sequence[Setting], overrides: Sequence[str] = (), *, model: Mapping[str, Any] | None = None
) -> Recipe:
    """Return the settings as a recipe; another system in ``overrides`` leaves out what it does not read.

    Args:
        settings: of :func:`advised_settings`.
        overrides: ``section.key=value``, on top of them.
        model: options of the detector that the settings change, in place of those of the recipe.
    """
    values = read_values(BASE)
    if model is not None:
        values["model"] = dict(model)
    for key, value, _ in settings:
        section, _, name = key.partition(".")
        values[section][name] = value
    values["about"] = {"source": "advice of srtod data inspect"}
    return recipe_from(values, overrides, where="advice")


def give_advice(annotated: AnnotatedSet, device: torch.device) -> Advice:
    """Say what to do with a set.

    Raises:
        InputError: nothing is marked in it.
    """
    numbers, machine = _numbers(annotated), _machine(device)
    settings = advise(numbers, machine)
    smallest = float(np.quantile(numbers.sizes, 0.1))
    recipe = advised_recipe(settings)
    telling = [record for record in annotated.records if (_sizes(record) <= smallest).any()]
    shown = telling[:: max(1, len(telling) // IMAGES)][:IMAGES]
    systems = [
        _learnable(system, options, _assignment(system, options, recipe, annotated.records), shown, smallest)
        for system in ALIKE
        for options in _variants(system)
    ]
    return Advice(
        split=annotated.split,
        settings=settings,
        slice=slice_to_predict_in(numbers, machine, settings),
        smallest=smallest,
        systems=tuple(sorted(systems, key=lambda one: -one.smallest)),
    )


def _numbers(annotated: AnnotatedSet) -> Numbers:
    numbers = Numbers.of(annotated)
    if not len(numbers.sizes):
        raise InputError(f"{annotated.source}: no image has a box, so there is nothing to learn")
    return numbers


def _machine(device: torch.device) -> Machine:
    gpu = device.type == "cuda"
    precision = "bf16" if not gpu or computes_bf16(device) else "fp16"
    return Machine(gpu=gpu, memory=free_memory(device), precision=precision)


def _variants(system: str) -> Iterator[dict[str, Any]]:
    """Options of a system: none, and those that let it see smaller objects."""
    yield {}
    if "finest_stride" in options_of(system).model_fields:
        yield {"finest_stride": 4}


def _sizes(record: ImageRecord) -> NDArray[np.float64]:
    return object_sizes(record.boxes[~record.ignore])


def _assignment(
    system: str, options: dict[str, Any], recipe: Recipe, records: Sequence[ImageRecord]
) -> Assignment:
    """How a system assigns with the anchors that fit the records."""
    changes = {"system": system, "rfla": None, "anchor_scale": "auto", "backbone": "resnet18"}
    if system == "rfla":
        changes |= {"anchor_scale": None, "rpn_nwd": None}
    values = without_others(recipe.model.model_dump() | changes, system) | options
    other = recipe.model_copy(update={"model": options_of(system).model_validate(values)})
    return Assignment(with_anchor_scale(other, records))


def _learnable(
    system: str,
    options: dict[str, Any],
    assignment: Assignment,
    records: Sequence[ImageRecord],
    smallest: float,
) -> Learnable:
    """What of images that hold the smallest objects a system can learn."""
    counts = [assignment.counts(record).numpy()[:, ~record.ignore] for record in records]
    sizes = np.concatenate([_sizes(record) for record in records])
    found = np.concatenate([views.any(axis=0) for views in counts])
    mean, bins = np.concatenate([views.mean(axis=0) for views in counts]), bins_of(sizes)
    return Learnable(
        systems=(system, *ALIKE[system]),
        options=options,
        smallest=float(found[sizes <= smallest].mean()),
        positives={SIZE_BINS[one]: float(mean[bins == one].mean()) for one in np.unique(bins)},
    )
