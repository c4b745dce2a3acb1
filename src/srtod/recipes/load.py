"""Recipes from YAML files that inherit from one another, with changes from the command line on top."""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from srtod.detectors.systems import SYSTEMS, without_others
from srtod.recipes.schema import DEFAULT_SYSTEM, Recipe
from srtod.support.errors import InputError, did_you_mean
from srtod.support.validation import validated

_SHIPPED = Path(str(files("srtod.recipes")))

_OF_ALL_SYSTEMS = {"rpn_samples", "level_candidates", "switchable_atrous"}
"""Options that no system has together; what was written up to version 0.3 has them all."""


def recipe_names() -> tuple[str, ...]:
    """Return the names of the shipped recipes; files that only others build on start with ``_``."""
    return tuple(sorted(file.stem for file in _SHIPPED.glob("*.yaml") if not file.stem.startswith("_")))


def load_recipe(
    name_or_path: str | Path, overrides: Sequence[str] = (), *, overlays: Sequence[str] = ()
) -> Recipe:
    """Read a recipe.

    Args:
        name_or_path: one of :func:`recipe_names`, or a YAML file. Its key ``base`` (a name, a path beside the
            file, or a list of them) names the recipes it starts from; later ones win, the file itself last.
            One that names its system takes over from those only the options that this system has.
        overrides: ``section.key=value`` with the value in YAML, applied last.
        overlays: names or files of recipes that are laid over this one, whatever it says, but for options
            that only other systems have.

    Raises:
        InputError: no such recipe, broken YAML, an unknown key (with the nearest known one), a wrong value
            (with what is allowed), or a malformed override.
    """
    values = _read(_locate(str(name_or_path), Path()), seen=())
    for name in overlays:
        overlay = _read(_locate(str(name), Path()), seen=())
        _merge(values, _for_system(overlay, _system(values) or DEFAULT_SYSTEM))
    changes: dict[str, Any] = {}
    for override in overrides:
        _apply(changes, override)
    values = _merge(_for_system(values, _system(changes)), changes)
    return validated(Recipe, values, where=f"recipe {name_or_path}")


def recipe_text(recipe: Recipe) -> str:
    """Return the whole recipe as YAML that :func:`load_recipe` reads back to the same recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json", exclude={"model": {"classes"}}), sort_keys=False)


def differing_keys(recipe: Recipe, other: Recipe) -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted key, value in ``recipe``, value in ``other``) wherever two recipes differ."""
    mine, others = _flat(recipe.model_dump()), _flat(other.model_dump())
    for key in sorted({*mine, *others}):
        if mine.get(key) != others.get(key):
            yield key, mine.get(key), others.get(key)


class _Loader(yaml.SafeLoader):
    """YAML in which ``1e-4`` is a number and a key may not stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for position, key in enumerate(keys) if key in keys[:position]), None)
        if twice is not None:
            raise yaml.MarkedYAMLError(
                problem=f"the key {twice!r} stands twice", problem_mark=node.start_mark
            )
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _locate(name: str, folder: Path) -> Path:
    shipped = _SHIPPED / f"{name}.yaml"
    if shipped.is_file():
        return shipped
    path = folder / name
    if path.suffix not in {".yaml", ".yml"}:
        hint = did_you_mean(name, recipe_names())
        raise InputError(
            f"no recipe named {name!r}{hint}; there are {', '.join(recipe_names())}, or give a .yaml file"
        )
    if not path.is_file():
        raise InputError(f"{path}: no such recipe file")
    return path


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """Read one file on top of its bases."""
    if path.resolve() in seen:
        raise InputError(f"{path}: the recipe builds on itself; remove it from 'base' in one of its bases")
    own = _parse(path)
    bases = own.pop("base", [])
    merged: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases:
        lower = _read(_locate(str(base), path.parent), (*seen, path.resolve()))
        merged = _merge(_for_system(merged, _system(lower)), lower)
    return _merge(_for_system(merged, _system(own)), own)


def _system(values: Mapping[str, Any]) -> Any:
    model = values.get("model")
    return model.get("system") if isinstance(model, Mapping) else None


def _for_system(values: dict[str, Any], system: Any) -> dict[str, Any]:
    """A recipe without the options that the system has not, but others have; all where none is named."""
    if system not in SYSTEMS or not isinstance(values.get("model"), Mapping):
        return values
    return values | {"model": without_others(values["model"], system)}


def _parse(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(
            f"{path}: a recipe is a YAML mapping with the sections {', '.join(Recipe.model_fields)}"
        )
    model = values.get("model")
    written_for_all = isinstance(model, Mapping) and model.keys() >= _OF_ALL_SYSTEMS
    return _for_system(values, _system(values)) if written_for_all else values


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay ``above`` over ``below``, section by section; lists and plain values are replaced whole."""
    for key, value in above.items():
        if isinstance(value, Mapping):
            old = below.get(key)
            below[key] = _merge(dict(old) if isinstance(old, Mapping) else {}, value)
        else:
            below[key] = value
    return below


def _apply(values: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    if not equals or not all(dotted.split(".")):
        raise InputError(f"--set {override}: write it as section.key=value, for example train.epochs=3")
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise InputError(
            f"--set {override}: the value is not valid YAML: {' '.join(str(error).split())}"
        ) from error
    for key in reversed(dotted.split(".")):
        value = {key: value}
    _merge(values, value)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
