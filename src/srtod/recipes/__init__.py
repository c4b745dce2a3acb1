"""Recipes: what is trained and how, typed and strict, one YAML file a setting."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from srtod.recipes.reading import read_values, recipe_names

if TYPE_CHECKING:
    from srtod.recipes.load import differing_keys, load_recipe, recipe_text
    from srtod.recipes.schema import DataRecipe, ModelRecipe, Recipe, TrainRecipe

__all__ = [
    "DataRecipe",
    "ModelRecipe",
    "Recipe",
    "TrainRecipe",
    "differing_keys",
    "load_recipe",
    "read_values",
    "recipe_names",
    "recipe_text",
]


def __getattr__(name: str) -> Any:
    """Import what stands on torch at first use, so that recipes are listed at once."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'schema' if name.endswith('Recipe') else 'load'}"), name)
