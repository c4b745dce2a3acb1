"""Recipes from YAML files that inherit from one another, with changes from the command line on top."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from srtod.detectors.systems import SYSTEMS, without_others
from srtod.recipes.reading import Values, merged, read_values, system_of
from srtod.recipes.schema import DEFAULT_SYSTEM, Recipe
from srtod.support.errors import InputError
from srtod.support.validation import validated
from srtod.support.yaml_text import parse_yaml


def load_recipe(
    name_or_path: str | Path, overrides: Sequence[str] = (), *, overlays: Sequence[str] = ()
) -> Recipe:
    """Read a recipe.

    Args:
        name_or_path: a shipped recipe, or a YAML file. Its key ``base`` (a name, a path beside the
            file, or a list of them) names the recipes it starts from; later ones win, the file itself last.
            One that names its system takes over from those only the options that this system has.
        overrides: ``section.key=value`` with the value in YAML, applied last.
        overlays: names or files of recipes that are laid over this one, whatever it says, but for options
            that only other systems have.

    Raises:
        InputError: no such recipe, broken YAML, an unknown key (with the nearest known one), a wrong value
            (with what is allowed), or a malformed override.
    """
    values = read_values(name_or_path, _for_system)
    for name in overlays:
        merged(values, _for_system(read_values(name, _for_system), system_of(values) or DEFAULT_SYSTEM))
    return recipe_from(values, overrides, where=f"recipe {name_or_path}")


def recipe_from(values: Values, overrides: Sequence[str] = (), *, where: str) -> Recipe:
    """Make a recipe of the values of its sections; ``overrides`` and errors as in :func:`load_recipe`."""
    changes: Values = {}
    for override in overrides:
        _apply(changes, override)
    values = merged(_for_system(values, system_of(changes)), changes)
    return validated(Recipe, values, where=where)


def recipe_text(recipe: Recipe) -> str:
    """Return the whole recipe as YAML that :func:`load_recipe` reads back to the same recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json", exclude={"model": {"classes"}}), sort_keys=False)


def differing_keys(recipe: Recipe, other: Recipe) -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted key, value in ``recipe``, value in ``other``) wherever two recipes differ."""
    mine, others = _flat(recipe.model_dump()), _flat(other.model_dump())
    for key in sorted({*mine, *others}):
        if mine.get(key) != others.get(key):
            yield key, mine.get(key), others.get(key)


def _for_system(values: Values, system: Any) -> Values:
    """A recipe without the options that the system has not, but others have; all where none is named."""
    if system not in SYSTEMS or not isinstance(values.get("model"), Mapping):
        return values
    return values | {"model": without_others(values["model"], system)}


def _apply(values: Values, override: str) -> None:
    dotted, equals, text = override.partition("=")
    if not equals or not all(dotted.split(".")):
        raise InputError(f"--set {override}: write it as section.key=value, for example train.epochs=3")
    value = parse_yaml(text, f"--set {override}: the value is")
    for key in reversed(dotted.split(".")):
        value = {key: value}
    merged(values, value)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
