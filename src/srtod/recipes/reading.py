"""The YAML files of recipes, which inherit from one another; without torch."""

from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from srtod.support.errors import InputError, did_you_mean
from srtod.support.yaml_text import parse_yaml

Values = dict[str, Any]
"""The sections of a recipe by name, not checked yet."""

_OF_ALL_SYSTEMS = {"rpn_samples", "level_candidates", "switchable_atrous"}
"""Options that no system has together; what was written up to version 0.3 has them all."""

_SHIPPED = Path(str(files("srtod.recipes")))


def recipe_names() -> tuple[str, ...]:
    """Return the names of the shipped recipes; files that only others build on start with ``_``."""
    return tuple(sorted(file.stem for file in _SHIPPED.glob("*.yaml") if not file.stem.startswith("_")))


def read_values(
    name_or_path: str | Path, fit: Callable[[Values, Any], Values] = lambda values, _system: values
) -> Values:
    """Read a recipe on top of those it builds on.

    Args:
        name_or_path: one of :func:`recipe_names`, or a YAML file.
        fit: what of given values a system takes over.

    Raises:
        InputError: no such recipe, or broken YAML.
    """
    return _read(_locate(str(name_or_path), Path()), fit, seen=())


def system_of(values: Mapping[str, Any]) -> Any:
    """Return the system that a recipe names, if it does."""
    model = values.get("model")
    return model.get("system") if isinstance(model, Mapping) else None


def merged(below: Values, above: Mapping[str, Any]) -> Values:
    """Lay ``above`` over ``below``, section by section; lists and plain values are replaced whole."""
    for key, value in above.items():
        if isinstance(value, Mapping):
            old = below.get(key)
            below[key] = merged(dict(old) if isinstance(old, Mapping) else {}, value)
        else:
            below[key] = value
    return below


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


def _read(path: Path, fit: Callable[[Values, Any], Values], seen: tuple[Path, ...]) -> Values:
    if path.resolve() in seen:
        raise InputError(f"{path}: the recipe builds on itself; remove it from 'base' in one of its bases")
    own = _parse(path)
    if isinstance(own.get("model"), Mapping) and own["model"].keys() >= _OF_ALL_SYSTEMS:
        own = fit(own, system_of(own))
    bases = own.pop("base", [])
    below: Values = {}
    for base in [bases] if isinstance(bases, str) else bases:
        lower = _read(_locate(str(base), path.parent), fit, (*seen, path.resolve()))
        below = merged(fit(below, system_of(lower)), lower)
    return merged(fit(below, system_of(own)), own)


def _parse(path: Path) -> Values:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    values = parse_yaml(text, f"{path}:")
    if not isinstance(values, dict):
        raise InputError(f"{path}: a recipe is a YAML mapping with the sections about, model, data, train")
    return values
