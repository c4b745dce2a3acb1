"""Recipes: what is trained and how, typed and strict, one YAML file a setting."""

from srtod.recipes.load import differing_keys, load_recipe, recipe_names, recipe_text
from srtod.recipes.schema import DataRecipe, ModelRecipe, Recipe, TrainRecipe

__all__ = [
    "DataRecipe",
    "ModelRecipe",
    "Recipe",
    "TrainRecipe",
    "differing_keys",
    "load_recipe",
    "recipe_names",
    "recipe_text",
]
