"""Programs that edit plans.

Owns: the recipe port, the stock recipes, the registry. May import: `plans` and what lies below it. LibCST is imported when a recipe is
first made. Recipes never execute a plan. Start with `port.py`, then `tunable_set.py`. To add a recipe, copy `rewrite.py`, register it under
the entry-point group ``wichtel.recipes``, and face it with `wichtel.testing.recipes`; `catalogue.py` tells of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wichtel.recipes.catalogue import ExampleInfo, OptionInfo, RecipeInfo, example_of, get_recipe, recipes
from wichtel.recipes.port import Edit, Recipe
from wichtel.recipes.registry import make_recipe, recipe_names

if TYPE_CHECKING:
    from wichtel.recipes.chain import Chain
    from wichtel.recipes.intercept import Intercept
    from wichtel.recipes.job_edit import JobEdit
    from wichtel.recipes.rewrite import Rewrite
    from wichtel.recipes.tunable_set import TunableSet

__all__ = [
    "Chain",
    "Edit",
    "ExampleInfo",
    "Intercept",
    "JobEdit",
    "OptionInfo",
    "Recipe",
    "RecipeInfo",
    "Rewrite",
    "TunableSet",
    "example_of",
    "get_recipe",
    "make_recipe",
    "recipe_names",
    "recipes",
]

_LATE = {"Chain": "chain", "Intercept": "intercept", "JobEdit": "job_edit", "Rewrite": "rewrite", "TunableSet": "tunable_set"}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"wichtel.recipes.{_LATE[name]}"), name)
